"""Where a secret is to be found: what stands in relay.toml instead of the secret itself."""

import difflib
from typing import Annotated, ClassVar, Final

from pydantic import BeforeValidator, Field, model_validator

from relay.config.mistake import mistake
from relay.config.section import FilePath, Line, Section

FORMS: Final = ("env", "file", "sealed", "aws")
FORMS_TEXT: Final = (
    '{ env = "NAME" }, { file = "/run/secrets/NAME" }, { sealed = "NAME" } (after: relay secret set NAME) '
    'or { aws = "SECRET-ID" }'
)


class SecretReference(Section):
    """Exactly one of `env`, `file`, `sealed` and `aws`."""

    KEYS: ClassVar = (*FORMS, "key")

    env: Line | None = Field(default=None, description="the environment variable that holds the secret")
    file: FilePath | None = Field(
        default=None, description="the file whose whole content, less one final line end, is the secret; watched"
    )
    sealed: Line | None = Field(
        default=None, description="the secret's name in the relay's own encrypted store; watched"
    )
    aws: Line | None = Field(default=None, description="the ID or ARN of a secret in AWS Secrets Manager")
    key: Line | None = Field(default=None, description="with aws: which key of a JSON secret is meant")

    @model_validator(mode="before")
    @classmethod
    def _one_form(cls, value: object) -> object:
        if not isinstance(value, dict):
            return value
        forms = [form for form in FORMS if value.get(form) is not None]
        for name in value:
            if name not in cls.KEYS:
                near = difflib.get_close_matches(str(name), cls.KEYS, 1)
                cure = f'write "{near[0]}"' if near else f"write {FORMS_TEXT}"
                raise mistake(f'"{name!s:.40}" is no form of a secret', cure)
        if len(forms) > 1:
            raise mistake(f"two forms of one secret: {' and '.join(forms)}", f"keep one of {', '.join(forms)}")
        if not forms:
            raise mistake("names no place for the secret", f"write {FORMS_TEXT}")
        if value.get("key") is not None and forms != ["aws"]:
            raise mistake(f'"key" belongs to aws, not to {forms[0]}', 'remove "key"')
        return value

    def __str__(self) -> str:
        """The reference as it stands in relay.toml; it holds no secret."""
        form = next(form for form in FORMS if getattr(self, form) is not None)
        also = f', key = "{self.key}"' if self.key else ""
        return f'{{ {form} = "{getattr(self, form)}"{also} }}'


def _no_clear_text(value: object) -> object:
    if isinstance(value, SecretReference | dict):
        return value
    if isinstance(value, str):
        raise mistake("a secret in clear text is refused", f"write {FORMS_TEXT}")
    raise mistake("expected where to find a secret", f"write {FORMS_TEXT}")


SecretPlace = Annotated[SecretReference, BeforeValidator(_no_clear_text)]
"""A SecretReference as a setting: clear text is refused."""
