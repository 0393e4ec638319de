"""A plugin in the style of Kong's first example: a header that greets, written with Kong's package, which is not installed here."""

import os

import kong_pdk.pdk.kong as kong

Schema = (
    {"message": {"type": "string", "default": "hello"}},
    {"limit": {"type": "integer", "between": [1, 9]}},
)

version = "0.1.0"
priority = 100


class Plugin(object):
    def __init__(self, config):
        self.config = config

    def access(self, kong: kong.kong):
        host, err = kong.request.get_header("host")
        if err:
            kong.log.err("error getting host header: ", err)
        kong.response.set_header("x-hello-from-python", "Python says %s to %s" % (self.config["message"], host))
        kong.response.set_header("x-python-pid", str(os.getpid()))


if __name__ == "__main__":
    from kong_pdk.cli import start_dedicated_server

    start_dedicated_server("py-hello", Plugin, version, priority, Schema)
