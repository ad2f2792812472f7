"""Agents: actor and critic in the imagination of a recurrent state-space model, on control tasks."""

from .agent import Agent as Agent
from .environment import ControlEnvironment as ControlEnvironment
from .evaluate import Returns as Returns
from .evaluate import play as play
from .saved import load_agent as load_agent
from .saved import save_agent as save_agent
from .settings import AgentSettings as AgentSettings
from .training import TrainedAgent as TrainedAgent
from .training import train_agent as train_agent
