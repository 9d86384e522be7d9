"""The bus on Apache Kafka: `address` and `options` say where and how, `bus` is the bus, and the rest are its parts.

Only `bus` and what it imports need aiokafka, which the extra `dgs[kafka]` brings.
"""
