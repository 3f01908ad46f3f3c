"""How we come to Kafka: over TLS or not, and as whom; said once, and told to both client libraries in their words."""

import ssl
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, SecretStr, model_validator
from pydantic_settings import BaseSettings

Protocol = Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"]
Mechanism = Literal["SCRAM-SHA-512", "SCRAM-SHA-256", "PLAIN"]


@dataclass(frozen=True)
class KafkaSecurity:
    """A protocol, and what goes with it; by default nobody asks who we are, and everybody on the way can read."""

    protocol: Protocol = "PLAINTEXT"
    mechanism: Mechanism = "SCRAM-SHA-512"
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    #: whom to trust; the system's own authorities where it is None
    ca_file: Path | None = None
    #: our own certificate, where the brokers ask for one
    certificate_file: Path | None = None
    key_file: Path | None = None

    @cached_property
    def for_aiokafka(self) -> dict[str, Any]:
        """Arguments of every client of aiokafka; raises OSError (ssl.SSLError) where a file is not what it should."""
        told: dict[str, Any] = {"security_protocol": self.protocol}
        if self._encrypted:
            context = ssl.create_default_context(cafile=self.ca_file)
            if self.certificate_file is not None:
                context.load_cert_chain(self.certificate_file, self.key_file)
            told |= {"ssl_context": context}
        if self._signed_in:
            told |= {
                "sasl_mechanism": self.mechanism,
                "sasl_plain_username": self.username,
                "sasl_plain_password": self.password,
            }
        return told

    @property
    def for_librdkafka(self) -> dict[str, str]:
        """Entries of librdkafka's configuration."""
        told: dict[str, str | None] = {"security.protocol": self.protocol}
        if self._encrypted:
            files = {"ca": self.ca_file, "certificate": self.certificate_file, "key": self.key_file}
            told |= {f"ssl.{name}.location": str(file) for name, file in files.items() if file is not None}
        if self._signed_in:
            told |= {
                "sasl.mechanism": self.mechanism,
                "sasl.username": self.username,
                "sasl.password": self.password,
            }
        return {name: value for name, value in told.items() if value is not None}

    @property
    def _encrypted(self) -> bool:
        return self.protocol in {"SSL", "SASL_SSL"}

    @property
    def _signed_in(self) -> bool:
        return self.protocol in {"SASL_PLAINTEXT", "SASL_SSL"}


class KafkaSecuritySettings(BaseSettings):
    """The settings of whatever talks to Kafka that say how."""

    kafka_protocol: Protocol = Field(
        "PLAINTEXT", description="how Kafka is reached: PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL"
    )
    kafka_mechanism: Mechanism = Field(
        "SCRAM-SHA-512", description="how we sign in with SASL: SCRAM-SHA-512, SCRAM-SHA-256 or PLAIN"
    )
    kafka_username: str | None = Field(None, min_length=1, description="as whom we sign in with SASL")
    kafka_password: SecretStr | None = Field(None, min_length=1, description="its password")
    kafka_ca_file: Path | None = Field(
        None, description="certificates of the authorities that Kafka's are trusted by, PEM; without it the system's"
    )
    kafka_certificate_file: Path | None = Field(
        None, description="our own certificate with its chain, PEM, where the brokers ask for one"
    )
    kafka_key_file: Path | None = Field(None, description="its private key, PEM")

    @model_validator(mode="after")
    def _says_as_whom_where_it_is_asked(self) -> Self:
        named = self.kafka_username is not None and self.kafka_password is not None
        if self.kafka_protocol.startswith("SASL") and not named:
            message = f"PORTFOLIO_BUS_KAFKA_USERNAME and _KAFKA_PASSWORD must be set with {self.kafka_protocol}"
            raise ValueError(message)
        if not self.kafka_protocol.startswith("SASL") and (self.kafka_username or self.kafka_password):
            message = f"{self.kafka_protocol} tells nobody's name: PORTFOLIO_BUS_KAFKA_PROTOCOL is missing"
            raise ValueError(message)
        return self

    @model_validator(mode="after")
    def _names_files_that_are_there(self) -> Self:
        files = [self.kafka_ca_file, self.kafka_certificate_file, self.kafka_key_file]
        if missing := [file for file in files if file is not None and not file.is_file()]:
            message = f"{missing[0]} is no file"
            raise ValueError(message)
        if any(files) and not self.kafka_protocol.endswith("SSL"):
            message = f"{self.kafka_protocol} has no use for certificates: PORTFOLIO_BUS_KAFKA_PROTOCOL is missing"
            raise ValueError(message)
        if (self.kafka_certificate_file is None) != (self.kafka_key_file is None):
            message = "PORTFOLIO_BUS_KAFKA_CERTIFICATE_FILE and _KAFKA_KEY_FILE are set together"
            raise ValueError(message)
        return self

    @property
    def kafka_security(self) -> KafkaSecurity:
        """The same as one value. It holds the password: not for printing."""
        password = self.kafka_password
        return KafkaSecurity(
            protocol=self.kafka_protocol,
            mechanism=self.kafka_mechanism,
            username=self.kafka_username,
            password=password.get_secret_value() if password is not None else None,
            ca_file=self.kafka_ca_file,
            certificate_file=self.kafka_certificate_file,
            key_file=self.kafka_key_file,
        )
