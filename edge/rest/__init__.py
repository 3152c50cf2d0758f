"""The HTTP API of the edge: thin handlers between JSON and ``parley.chat.v1.ChatService``."""

from edge.rest.handler import RestDeps
from edge.rest.origins import OriginPolicy
from edge.rest.routes import application_settings, routes
from edge.rest.settings import RestSettings

__all__ = ["OriginPolicy", "RestDeps", "RestSettings", "application_settings", "routes"]
