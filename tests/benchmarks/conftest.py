from tests.flows.oracles.mock_vasp.fixtures import potcars, use_mock

__all__ = ["potcars", "use_mock"]
