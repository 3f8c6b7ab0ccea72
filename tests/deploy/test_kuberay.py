"""deploy/kuberay.yaml, as far as it can be judged without Kubernetes: it fits our settings and itself."""

import re
import warnings
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]

from backend.settings import ServiceSettings
from holdcheck.settings import Settings
from tests.deploy.documents import ROOT

_FILE = ROOT / "deploy" / "kuberay.yaml"
_DOCUMENT = ROOT / "docs" / "kuberay.md"
_OTHERS = {"RAY_AUTH_MODE", "RAY_AUTH_TOKEN"}
"""Ray's own variables."""
_STORAGE = re.compile(r"AWS_(ENDPOINT_URL|ACCESS_KEY_ID|SECRET_ACCESS_KEY|REGION)")


def _all() -> list[dict[str, Any]]:
    return list(yaml.safe_load_all(_FILE.read_text(encoding="utf-8")))


def _object(kind: str, name: str = "holdcheck") -> dict[str, Any]:
    (found,) = (each for each in _all() if (each["kind"], each["metadata"]["name"]) == (kind, name))
    return found


def _settings() -> dict[str, str]:
    return dict(_object("ConfigMap")["data"])


def _container() -> dict[str, Any]:
    (container,) = _object("Deployment")["spec"]["template"]["spec"]["containers"]
    return dict(container)


def _pods() -> list[dict[str, Any]]:
    """The pod templates of every workload."""
    cluster = _object("RayCluster")["spec"]
    groups = [cluster["headGroupSpec"], *cluster["workerGroupSpecs"]]
    return [*(group["template"] for group in groups), _object("Deployment")["spec"]["template"]]


def test_every_variable_is_a_setting() -> None:
    known = {name.upper() for name in ServiceSettings.model_fields}
    named = {variable["name"] for variable in _container()["env"]} | _settings().keys()
    assert named - known == _OTHERS
    secret = set(re.findall(r"--from-literal=(\w+)=", _DOCUMENT.read_text(encoding="utf-8")))
    assert secret > {"DATABASE_URL", "DATA_URL"}
    assert {name for name in secret - known if not _STORAGE.fullmatch(name)} == set()


def test_the_settings_make_sense_together(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = {each["name"]: each["value"] for each in _container()["env"] if "value" in each}
    for name, value in {**_settings(), **plain}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir("/")  # nobody's .env
    settings = ServiceSettings.load()
    assert (settings.engine, settings.host) == ("ray", "0.0.0.0")
    assert settings.api_keys.get_secret_value() == ""  # only the secret has them


def test_its_serve_config_is_ours_and_agrees_with_the_services() -> None:
    pytest.importorskip(
        "ray", reason="NOT CHECKED: the Serve config. Install: pip install -c constraints.txt -e '.[ray]'"
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Ray's own, about itself
        from ray.serve.schema import ServeDeploySchema
    config = yaml.safe_load(_object("ConfigMap", "holdcheck-serve")["data"]["serve.yaml"])
    usual = yaml.safe_load((ROOT / "deploy" / "serve.yaml").read_text(encoding="utf-8"))
    assert ServeDeploySchema.model_validate(config).proxy_location == usual["proxy_location"] == "Disabled"
    (application,), (expected,) = config["applications"], usual["applications"]
    arguments = application.pop("args")
    expected.pop("args")
    assert application == expected
    assert {name: str(value) for name, value in arguments.items()}.items() <= _settings().items()


def test_its_serve_config_leaves_no_setting_of_an_analysis_out() -> None:
    config = yaml.safe_load(_object("ConfigMap", "holdcheck-serve")["data"]["serve.yaml"])
    arguments = config["applications"][0]["args"].keys()
    analyses = {name.upper() for name in Settings.model_fields} | {"RAY_MIN_REPLICAS", "RAY_MAX_REPLICAS"}
    assert analyses & _settings().keys() <= arguments


def test_the_services_find_the_cluster_and_its_token() -> None:
    cluster = _object("RayCluster")
    name = cluster["metadata"]["name"]
    variables = {each["name"]: each for each in _container()["env"]}
    # What the operator calls the head's Service, and the secret of authOptions.
    assert variables["RAY_ADDRESS"]["value"] == f"{name}-head-svc:6379"
    assert variables["RAY_AUTH_MODE"]["value"] == cluster["spec"]["authOptions"]["mode"]
    token = variables["RAY_AUTH_TOKEN"]["valueFrom"]["secretKeyRef"]
    assert token == {"name": name, "key": "auth_token"}
    assert "holdcheck-keys" in str(_container()["envFrom"])
    # The service's own node runs no replica.
    assert "--num-cpus=0" in _container()["args"][0]
    assert cluster["spec"]["headGroupSpec"]["rayStartParams"]["num-cpus"] == "0"


def test_ray_is_the_one_of_the_constraints() -> None:
    pinned = re.search(r"^ray==(\S+)$", (ROOT / "constraints.txt").read_text(), re.MULTILINE)
    assert pinned is not None
    assert _object("RayCluster")["spec"]["rayVersion"] == pinned[1]


def test_the_largest_cluster_has_room_for_every_replica() -> None:
    (group,) = _object("RayCluster")["spec"]["workerGroupSpecs"]
    (container,) = group["template"]["spec"]["containers"]
    limits, settings = container["resources"]["limits"], _settings()
    each = int(limits["cpu"]) // int(settings["OMP_NUM_THREADS"])
    assert group["maxReplicas"] * each >= int(settings["RAY_MAX_REPLICAS"])
    assert group["minReplicas"] * each >= int(settings["RAY_MIN_REPLICAS"])
    assert _mib(limits["memory"]) >= each * 256 + 1024  # and Ray's own processes, and its object store
    grace_s = group["template"]["spec"]["terminationGracePeriodSeconds"]
    assert grace_s > ServiceSettings.model_fields["job_timeout_s"].default + 15


def _mib(quantity: str) -> float:
    return float(quantity[:-2]) * {"Mi": 1, "Gi": 1024}[quantity[-2:]]


def test_probes_and_ports_are_the_services_own() -> None:
    container = _container()
    paths = {
        name: container[f"{name}Probe"]["httpGet"]["path"] for name in ("startup", "liveness", "readiness")
    }
    assert paths == {"startup": "/livez", "liveness": "/livez", "readiness": "/readyz"}
    (port,) = container["ports"]
    assert port["containerPort"] == ServiceSettings.model_fields["port"].default
    annotations = _object("Deployment")["spec"]["template"]["metadata"]["annotations"]
    assert annotations["prometheus.io/port"] == str(port["containerPort"])


def test_every_volume_config_and_image_that_is_named_is_there() -> None:
    kinds = {(each["kind"], each["metadata"]["name"]) for each in _all()}
    images = set()
    for pod in _pods():
        spec = pod["spec"]
        volumes = {volume["name"]: volume for volume in spec.get("volumes", [])}
        for volume in volumes.values():
            if "persistentVolumeClaim" in volume:
                assert ("PersistentVolumeClaim", volume["persistentVolumeClaim"]["claimName"]) in kinds
            if "configMap" in volume:
                assert ("ConfigMap", volume["configMap"]["name"]) in kinds
        for container in spec["containers"]:
            images.add(container["image"])
            assert {mount["name"] for mount in container.get("volumeMounts", [])} <= volumes.keys()
            for source in container["envFrom"]:
                if "configMapRef" in source:
                    assert ("ConfigMap", source["configMapRef"]["name"]) in kinds
    assert images == {"holdcheck-cluster:1.0"}  # no registry's name: whoever uses it has one


def test_labels_select_what_they_should() -> None:
    labels = _object("Deployment")["spec"]["template"]["metadata"]["labels"]
    for kind in ("Deployment", "PodDisruptionBudget"):
        assert _object(kind)["spec"]["selector"]["matchLabels"].items() <= labels.items()
    assert _object("Service")["spec"]["selector"].items() <= labels.items()
    policy = _object("NetworkPolicy", "holdcheck-ray")["spec"]
    assert policy["podSelector"]["matchLabels"] == {
        "ray.io/cluster": _object("RayCluster")["metadata"]["name"]
    }
    allowed = [each["podSelector"]["matchLabels"] for each in policy["ingress"][0]["from"]]
    assert allowed == [policy["podSelector"]["matchLabels"], labels]


def test_file_and_document_say_that_nobody_ran_it() -> None:
    assert "NOT RUN" in _FILE.read_text(encoding="utf-8").split("\n---")[0]
    assert "not run here" in _DOCUMENT.read_text(encoding="utf-8").lower()
