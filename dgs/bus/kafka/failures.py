"""What aiokafka raises, as what the callers of a bus know: OSError where trying again may help, errors of `dgs` where it does not.

Pure; who retries, and who gives up, is decided by those who catch them.
"""

from aiokafka.errors import (
    ClusterAuthorizationFailedError,
    GroupAuthorizationFailedError,
    KafkaError,
    MessageSizeTooLargeError,
    RecordListTooLargeError,
    TopicAuthorizationFailedError,
)

from dgs.core.errors import StateError, TooLargeError

UNAUTHORIZED = (TopicAuthorizationFailedError, ClusterAuthorizationFailedError, GroupAuthorizationFailedError)
TOO_LARGE = (MessageSizeTooLargeError, RecordListTooLargeError)


def failure(error: BaseException, what: str) -> Exception:
    """Return what stands for an error of aiokafka; `what` was tried, in words that follow "to": "append to records/3"."""
    if isinstance(error, UNAUTHORIZED):
        return StateError(f"Kafka refuses to {what}: the user of kafka_sasl_username is not authorized; grant it (docs/kafka.md)")
    if isinstance(error, TOO_LARGE):
        return TooLargeError(
            f"Kafka refuses to {what}: the batch is larger than max.message.bytes of the topic; raise that"
            " (kafka-configs.sh --alter), and kafka_max_message_bytes for topics to come"
        )
    return ConnectionError(f"Kafka failed to {what}: {told(error)}")


def told(error: BaseException) -> str:
    """Return an error of aiokafka in words."""
    text = str(error)
    name = type(error).__name__
    if isinstance(error, KafkaError) or not text:
        return f"{name}: {text}" if text and name not in text else text or name
    return text
