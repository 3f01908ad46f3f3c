"""How Kafka is reached: what may be said together, and what each library is told of it."""

import ssl
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from shared.kit.kafka_security import KafkaSecurity, KafkaSecuritySettings

NAMED = {"kafka_username": "order_service", "kafka_password": "a secret"}


def settings(**told: Any) -> KafkaSecuritySettings:
    return KafkaSecuritySettings(**told)


def test_unless_told_otherwise_nobody_signs_in_and_nothing_is_encrypted() -> None:
    open_to_all = settings().kafka_security

    assert open_to_all.for_aiokafka == {"security_protocol": "PLAINTEXT"}
    assert open_to_all.for_librdkafka == {"security.protocol": "PLAINTEXT"}


def test_both_libraries_sign_in_by_the_same_name_and_check_the_brokers_certificate() -> None:
    guarded = settings(kafka_protocol="SASL_SSL", **NAMED).kafka_security

    told = guarded.for_aiokafka
    assert (told["security_protocol"], told["sasl_mechanism"]) == ("SASL_SSL", "SCRAM-SHA-512")
    assert (told["sasl_plain_username"], told["sasl_plain_password"]) == ("order_service", "a secret")
    assert told["ssl_context"].verify_mode is ssl.CERT_REQUIRED
    assert told["ssl_context"].check_hostname
    assert guarded.for_librdkafka == {
        "security.protocol": "SASL_SSL",
        "sasl.mechanism": "SCRAM-SHA-512",
        "sasl.username": "order_service",
        "sasl.password": "a secret",
    }


def test_files_are_told_where_they_are(tmp_path: Path) -> None:
    files = {name: tmp_path / name for name in ("ca", "certificate", "key")}
    for file in files.values():
        file.touch()
    told = settings(kafka_protocol="SSL", **{f"kafka_{name}_file": file for name, file in files.items()}).kafka_security

    assert told.for_librdkafka == {
        "security.protocol": "SSL",
        **{f"ssl.{name}.location": str(file) for name, file in files.items()},
    }


@pytest.mark.parametrize(
    ("told", "said"),
    [
        ({"kafka_protocol": "SASL_SSL"}, "must be set with SASL_SSL"),
        ({"kafka_protocol": "SASL_PLAINTEXT", "kafka_username": "somebody"}, "must be set with SASL_PLAINTEXT"),
        (NAMED, "PLAINTEXT tells nobody's name"),
        ({**NAMED, "kafka_protocol": "SSL"}, "SSL tells nobody's name"),
        ({"kafka_protocol": "SSL", "kafka_ca_file": "nowhere.pem"}, "nowhere.pem is no file"),
        ({"kafka_ca_file": __file__}, "has no use for certificates"),
        ({"kafka_protocol": "SSL", "kafka_key_file": __file__}, "are set together"),
        ({"kafka_protocol": "TLS"}, "Input should be"),
        ({**NAMED, "kafka_protocol": "SASL_SSL", "kafka_mechanism": "GSSAPI"}, "Input should be"),
    ],
)
def test_what_does_not_fit_together_is_refused_with_what_to_do(told: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        settings(**told)


def test_the_password_is_not_shown() -> None:
    chosen = settings(kafka_protocol="SASL_SSL", **NAMED)

    assert "a secret" not in repr(chosen) + repr(chosen.kafka_security)
    assert isinstance(chosen.kafka_security, KafkaSecurity)
