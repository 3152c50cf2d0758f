"""Private Redis, RabbitMQ and MongoDB-protocol servers for a laptop and for the tests, and `make run`.

`devstack.servers` starts one server each; `devstack.run` starts the whole system and looks after it.
No service imports this package.
"""
