"""A plugin in the style of Kong's key checker: requests without the right key are ended with 403."""

Schema = ({"apikey": {"type": "string", "required": True, "encrypted": True}}, {"realm": {"type": "string"}})

version = "0.2.0"
priority = 1000


class Plugin:
    def __init__(self, config):
        self.config = config

    def access(self, kong):
        query, err = kong.request.get_query()
        if err:
            kong.response.error(500, err)
        keys = query.get("apikey") or [kong.request.get_header("x-api-key")[0]]
        if keys[0] is None:
            kong.response.exit(
                401, {"message": "No API key found"}, {"WWW-Authenticate": f'Key realm="{self.config.get("realm", "kong")}"'}
            )
        if keys[0] != self.config["apikey"]:
            kong.response.exit(403, "You have no correct key")
        consumer, err = kong.client.load_consumer("11111111-2222-4333-8444-555555555555")
        if err is None and consumer is not None:
            kong.client.authenticate(consumer, {"id": "c-1", "consumer_id": consumer["id"], "key": keys[0]})
        kong.service.request.set_headers({"x-checked": ["yes"]})
