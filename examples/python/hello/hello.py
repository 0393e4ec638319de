"""hello-python greets: it reads two request headers and its configuration, and sets a header upstream and one on the response."""

from dataclasses import dataclass

import outrigger


@dataclass
class HelloConfig:
    """Configuration of hello-python."""

    greeting: str = outrigger.setting(default="hello", min_length=1, description="word that the greeting starts with")
    name: str = outrigger.setting(default="world", description="who is greeted when the request has no X-Name")


class Hello(outrigger.Plugin):
    """Sets X-Hello-Python on both sides."""

    name = "hello-python"
    version = "0.1.0"
    priority = 500
    Config = HelloConfig

    config: HelloConfig

    def access(self, kong: outrigger.PDK) -> None:
        """Greets whom X-Name names, with the mood of X-Mood."""
        name = kong.request.get_header("X-Name")
        if name is None:
            name = self.config.name
        mood = kong.request.get_header("X-Mood")
        text = f"{self.config.greeting}, {name}"
        if mood is not None:
            text += f" ({mood})"
        kong.service.request.set_header("X-Hello-Python", text)
        kong.response.set_header("X-Hello-Python", text)
