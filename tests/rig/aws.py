"""What a process needs to find the simulator's AWS in place of the real one, and nothing of this machine's own."""

from relay.simulator.aws_roles import CONTAINER_PATH
from relay.simulator.simulator import Simulator
from tests.rig.toml import Value

ISOLATED = {
    "AWS_EC2_METADATA_DISABLED": "true",
    "AWS_SHARED_CREDENTIALS_FILE": "/nonexistent",
    "AWS_CONFIG_FILE": "/nonexistent",
}
"""Neither a file nor a machine gives credentials."""


def ses_api_upstream(simulator: Simulator, **keys: Value) -> dict[str, Value]:
    """An [upstream.NAME] for the simulator's SES by its API; without more, as whatever role the machine has."""
    return {
        "type": "ses",
        "via": "api",
        "region": simulator.options.ses_region,
        "host": simulator.host,
        "port": simulator.aws.server.port,
        "ca_file": str(simulator.ca_file),
        **keys,
    }


def user_variables(simulator: Simulator) -> dict[str, str]:
    """The access key of a user, in the environment."""
    options = simulator.options
    keys = {"AWS_ACCESS_KEY_ID": options.aws_access_key, "AWS_SECRET_ACCESS_KEY": options.aws_secret_key}
    return ISOLATED | keys


def machine_variables(simulator: Simulator) -> dict[str, str]:
    """A machine in EC2 with a role."""
    own = {"AWS_EC2_METADATA_DISABLED": "false", "AWS_EC2_METADATA_SERVICE_ENDPOINT": simulator.aws_metadata_url}
    return ISOLATED | own


def container_variables(simulator: Simulator) -> dict[str, str]:
    """A task of ECS with a role."""
    metadata = simulator.aws.metadata
    return ISOLATED | {
        "AWS_CONTAINER_CREDENTIALS_FULL_URI": f"{simulator.aws_metadata_url}{CONTAINER_PATH}",
        "AWS_CONTAINER_AUTHORIZATION_TOKEN": metadata.authorization,
    }


def pod_variables(simulator: Simulator, token_file: str) -> dict[str, str]:
    """A pod in EKS, whose projected token STS gives a role for."""
    return ISOLATED | {
        "AWS_ROLE_ARN": simulator.aws.account.role_arn,
        "AWS_WEB_IDENTITY_TOKEN_FILE": token_file,
        "AWS_ENDPOINT_URL_STS": simulator.aws_url,
    }
