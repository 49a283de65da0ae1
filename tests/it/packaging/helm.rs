//! packaging/helm, as Helm renders it: what comes out is held against what the gateway does.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use portcullis_gateway::Config;
use saphyr::{LoadableYamlNode, Scalar, Yaml};
use serde_json::{Value, json};

use super::{AFTER_DRAIN, packaging};
use crate::support;

/// What has to be given.
const LEAST: [&str; 2] = ["mesh.volume.persistentVolumeClaim.claimName=mesh", "secrets.keys=portcullis-keys"];

fn helm(command: &[&str], values: &[&str], file: Option<&Path>) -> Option<(bool, String)> {
    let mut helm = Command::new(support::helm()?);
    // Nothing of a user's own is read or written.
    let home = tempfile::tempdir().unwrap();
    helm.env("HELM_CACHE_HOME", home.path()).env("HELM_CONFIG_HOME", home.path()).env("HELM_DATA_HOME", home.path());
    helm.args(command).args(["--kube-version", "1.30.0"]).arg(packaging("helm/portcullis"));
    helm.args(values.iter().flat_map(|value| ["--set", value]));
    if let Some(file) = file {
        helm.arg("--values").arg(file);
    }
    let output = helm.output().unwrap();
    let text = String::from_utf8(if output.status.success() { output.stdout } else { output.stderr }).unwrap();
    Some((output.status.success(), text))
}

/// All objects, by kind and name.
struct Rendered(Vec<Value>);

impl Rendered {
    fn of(values: &[&str], file: Option<&Path>) -> Option<Rendered> {
        let values: Vec<&str> = LEAST.iter().chain(values).copied().collect();
        let (done, text) = helm(&["template", "gate", "--namespace", "data"], &values, file)?;
        assert!(done, "{text}");
        Some(Rendered(Yaml::load_from_str(&text).unwrap().iter().map(plain).collect()))
    }

    fn kind(&self, kind: &str) -> Vec<&Value> {
        self.0.iter().filter(|object| object["kind"] == kind).collect()
    }

    fn one(&self, kind: &str) -> &Value {
        let all = self.kind(kind);
        assert_eq!(all.len(), 1, "{kind}");
        all[0]
    }

    fn pod(&self) -> &Value {
        &self.one("StatefulSet")["spec"]["template"]
    }

    fn container(&self) -> &Value {
        &self.pod()["spec"]["containers"][0]
    }

    fn config(&self) -> Config {
        let mesh = tempfile::tempdir().unwrap();
        let text = self.one("ConfigMap")["data"]["portcullis.toml"].as_str().unwrap();
        std::fs::write(mesh.path().join("portcullis.toml"), text).unwrap();
        Config::load(mesh.path()).unwrap_or_else(|error| panic!("{error}\n{text}"))
    }
}

fn plain(yaml: &Yaml<'_>) -> Value {
    match yaml {
        Yaml::Value(Scalar::Boolean(value)) => json!(value),
        Yaml::Value(Scalar::Integer(value)) => json!(value),
        Yaml::Value(Scalar::FloatingPoint(value)) => json!(value.0),
        Yaml::Value(Scalar::String(value)) => json!(value),
        Yaml::Sequence(all) => all.iter().map(plain).collect(),
        Yaml::Mapping(all) => {
            all.iter().map(|(key, value)| (plain(key).as_str().unwrap().to_owned(), plain(value))).collect()
        }
        _ => Value::Null,
    }
}

#[test]
fn external_helm_finds_nothing_to_say() {
    let Some((sound, said)) = helm(&["lint", "--strict"], &LEAST, None) else { return };
    assert!(sound, "{said}");
}

#[test]
fn external_helm_wants_what_cannot_be_guessed() {
    for (values, wanted) in [
        (vec![LEAST[1]], "mesh.volume is required"),
        (vec![LEAST[0]], "secrets.keys is required"),
        ([&LEAST[..], &["replica=3"]].concat(), "replica"),
        ([&LEAST[..], &["config.listen.flight=0.0.0.0:1"]].concat(), "listen"),
        ([&LEAST[..], &["secretEnv[0].name=A", "secretEnv[0].value=secret"]].concat(), "secretEnv"),
    ] {
        let Some((done, said)) = helm(&["template", "gate"], &values, None) else { return };
        assert!(!done && said.contains(wanted), "{values:?}: {said}");
    }
}

#[test]
fn external_helm_writes_a_configuration_that_the_gateway_reads() {
    let values = tempfile::NamedTempFile::new().unwrap();
    let own = "config:\n  limits: {concurrent_queries: 12, memory: 2 GiB, groups: {dashboards: 8}, drain: 1s}\n  \
               identity:\n    users: nowhere.yaml\n    issuers: [{issuer: \"https://id.example.com/realms/a\", audience: [portcullis]}]\n  \
               log: {values: false}\nsecrets: {accepted: [signing-1.key], tls: gate-tls}\ndrainSeconds: 90\n";
    std::fs::write(values.path(), own).unwrap();
    let Some(rendered) = Rendered::of(&[], Some(values.path())) else { return };
    let config = rendered.config();
    assert_eq!(config.limits.concurrent_queries, 12);
    assert_eq!(config.limits.memory.bytes(), 2 << 30);
    assert_eq!(config.limits.groups["dashboards"], 8);
    assert_eq!(config.identity.issuers[0].audience, ["portcullis"]);
    // What the chart relies on is the chart's.
    assert_eq!(config.limits.drain.duration(), Duration::from_secs(90));
    assert_eq!(config.identity.users, Path::new("/srv/mesh/users.yaml"));
    assert_eq!(config.secrets.accepted_keys.len(), 1);
    // Each path is on a volume: of what is written, on one that may be written.
    let mounts = rendered.container()["volumeMounts"].as_array().unwrap();
    let on = |path: &Path, read_only: bool| {
        let mut all = mounts.iter().filter(|mount| path.starts_with(mount["mountPath"].as_str().unwrap()));
        let mount = all.next().unwrap_or_else(|| panic!("{} is on no volume", path.display()));
        assert_eq!(mount["readOnly"] == true, read_only, "{}", path.display());
    };
    for written in [&config.audit.dir, &config.limits.spill_dir, &config.secrets.keys_dir] {
        on(written, false);
    }
    let tls = [config.listen.tls_certificate.as_ref().unwrap(), config.listen.tls_key.as_ref().unwrap()];
    for read in [&config.catalogue.catalogs, &config.catalogue.policies, &config.identity.users].into_iter().chain(tls)
    {
        on(read, true);
    }
    // Another configuration makes other pods; the same one does not.
    let pods = |values: &[&str]| {
        Rendered::of(values, None).unwrap().pod()["metadata"]["annotations"]["portcullis/config"].clone()
    };
    assert_eq!(pods(&[]), pods(&[]));
    assert_ne!(pods(&[]), pods(&["config.limits.rows=10"]));
}

#[test]
fn external_helm_lets_pods_drain_before_they_are_killed() {
    for values in [&[][..], &["drainSeconds=600", "preStopSeconds=0"]] {
        let Some(rendered) = Rendered::of(values, None) else { return };
        let grace = rendered.pod()["spec"]["terminationGracePeriodSeconds"].as_u64().unwrap();
        let before = rendered.container()["lifecycle"]["preStop"]["sleep"]["seconds"].as_u64().unwrap_or(0);
        let drain = rendered.config().limits.drain.duration();
        assert!(Duration::from_secs(grace) > Duration::from_secs(before) + drain + AFTER_DRAIN, "{values:?}: {grace}");
    }
}

#[test]
fn external_helm_asks_the_routes_that_there_are() {
    let Some(rendered) = Rendered::of(&[], None) else { return };
    let (container, config) = (rendered.container(), rendered.config());
    let ports = json!([
        {"name": "flight", "containerPort": config.listen.flight.port(), "protocol": "TCP"},
        {"name": "http", "containerPort": config.listen.http.unwrap().port(), "protocol": "TCP"},
    ]);
    assert_eq!(container["ports"], ports);
    // A pod that drains is alive: killed for not being ready, it would cut what it waits for.
    for (probe, route) in [("startupProbe", "/healthz"), ("livenessProbe", "/healthz"), ("readinessProbe", "/readyz")] {
        assert!(portcullis_http::ROUTES.contains(&route));
        assert_eq!(container[probe]["httpGet"], json!({"path": route, "port": "http"}), "{probe}");
    }
    let scraped = &rendered.pod()["metadata"]["annotations"];
    assert!(portcullis_http::ROUTES.contains(&scraped["prometheus.io/path"].as_str().unwrap()));
    assert_eq!(scraped["prometheus.io/port"], config.listen.http.unwrap().port().to_string());
    let services = rendered.kind("Service");
    assert_eq!(services.len(), 2);
    assert!(services.iter().all(|service| service["spec"]["ports"][0]["targetPort"] == "flight"));
    assert_eq!(services[0]["spec"]["ports"].as_array().unwrap().len(), 1, "health and metrics are not for clients");
    assert_eq!(rendered.one("StatefulSet")["spec"]["serviceName"], services[1]["metadata"]["name"]);
}

#[test]
fn external_helm_gives_no_more_rights_than_are_needed() {
    let Some(rendered) =
        Rendered::of(&["secretEnv[0].name=LAKE", "secretEnv[0].secretName=lake", "secretEnv[0].key=k"], None)
    else {
        return;
    };
    let pod = &rendered.pod()["spec"];
    assert_eq!(pod["securityContext"]["runAsNonRoot"], true);
    assert!(pod["securityContext"]["runAsUser"].as_u64().unwrap() > 0);
    assert_eq!(pod["securityContext"]["seccompProfile"], json!({"type": "RuntimeDefault"}));
    assert_eq!(pod["automountServiceAccountToken"], false);
    let wanted = json!({
        "allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true, "capabilities": {"drop": ["ALL"]}
    });
    assert_eq!(rendered.container()["securityContext"], wanted);
    assert!(rendered.container()["resources"]["limits"]["memory"].is_string());
    // Secrets by reference: the chart makes none, and none stands in what it makes.
    assert!(rendered.kind("Secret").is_empty());
    for variable in rendered.container()["env"].as_array().unwrap() {
        let ours = ["PORTCULLIS_MESH", "PORTCULLIS_LOG"].contains(&variable["name"].as_str().unwrap());
        assert_eq!(variable["valueFrom"]["secretKeyRef"].is_object(), !ours, "{variable}");
    }
}

#[test]
fn external_helm_shows_people_the_page_for_tokens_and_nothing_else() {
    const PAGE: [&str; 5] = [
        "page.host=gate.example.com",
        "page.tls=gate-page",
        "page.ingressClassName=nginx",
        "page.from[0].podSelector.matchLabels.app=ingress",
        "config.identity.page.client_id=portcullis-page",
    ];
    let Some(rendered) = Rendered::of(&PAGE, None) else { return };
    let ingress = &rendered.one("Ingress")["spec"];
    assert_eq!(ingress["tls"], json!([{"hosts": ["gate.example.com"], "secretName": "gate-page"}]));
    let rules = ingress["rules"].as_array().unwrap();
    assert_eq!((rules.len(), &rules[0]["host"]), (1, &json!("gate.example.com")));
    let paths = rules[0]["http"]["paths"].as_array().unwrap();
    assert_eq!((paths.len(), &paths[0]["pathType"]), (1, &json!("Prefix")));
    let prefix = paths[0]["path"].as_str().unwrap();
    let below = |route: &str| route == prefix || route.starts_with(&format!("{prefix}/"));
    assert!(portcullis_http::PAGE_ROUTES.iter().all(|route| below(route)), "{prefix}");
    assert!(!portcullis_http::ROUTES.iter().any(|route| below(route)), "health and metrics are not for people");
    let backend = &paths[0]["backend"]["service"];
    let named = |service: &&&Value| service["metadata"]["name"] == backend["name"];
    let services = rendered.kind("Service");
    let service = services.iter().find(named).unwrap();
    assert_eq!(service["spec"]["ports"][0]["name"], backend["port"]["name"]);
    assert_eq!(service["spec"]["ports"][0]["targetPort"], "http");
    let page = rendered.config().identity.page;
    assert_eq!((page.url.as_deref(), page.client_id.as_str()), (Some("https://gate.example.com"), "portcullis-page"));
    let policy = rendered.one("NetworkPolicy")["spec"]["ingress"].as_array().unwrap().clone();
    let from = json!([{"podSelector": {"matchLabels": {"app": "ingress"}}}]);
    assert!(policy.iter().any(|rule| rule["ports"][0]["port"] == "http" && rule["from"] == from), "{policy:?}");

    let plain = Rendered::of(&[], None).unwrap();
    assert!(plain.kind("Ingress").is_empty() && plain.config().identity.page.url.is_none());
    for (left_out, wanted) in [(1, "page.tls is required"), (3, "page.from is required")] {
        let given = PAGE.iter().enumerate().filter(|(at, _)| *at != left_out).map(|(_, value)| *value);
        let values: Vec<&str> = LEAST.into_iter().chain(given).collect();
        let (done, said) = helm(&["template", "gate"], &values, None).unwrap();
        assert!(!done && said.contains(wanted), "{said}");
    }
}

#[test]
fn external_helm_closes_the_network_and_keeps_one_replica() {
    let Some(rendered) = Rendered::of(&[], None) else { return };
    let labels = rendered.pod()["metadata"]["labels"].as_object().unwrap();
    let selects =
        |selector: &Value| selector.as_object().unwrap().iter().all(|(key, value)| labels.get(key) == Some(value));
    let policy = &rendered.one("NetworkPolicy")["spec"];
    assert!(selects(&policy["podSelector"]["matchLabels"]));
    assert_eq!(policy["policyTypes"], json!(["Ingress", "Egress"]));
    let ingress = policy["ingress"].as_array().unwrap();
    let http: Vec<&Value> = ingress.iter().filter(|rule| rule["ports"][0]["port"] == "http").collect();
    assert_eq!(http.len(), 1);
    assert!(!http[0]["from"].as_array().unwrap().is_empty(), "health and metrics are open to everybody");
    let closed = Rendered::of(&["networkPolicy.monitoring=null"], None).unwrap();
    assert_eq!(closed.one("NetworkPolicy")["spec"]["ingress"].as_array().unwrap().len(), 1);
    assert!(policy["egress"].as_array().unwrap().iter().all(|rule| rule["ports"].is_array()), "{policy}");

    let budget = &rendered.one("PodDisruptionBudget")["spec"];
    assert!(selects(&budget["selector"]["matchLabels"]));
    assert_eq!(budget["maxUnavailable"], 1);
    // With one replica it would keep a node from ever being drained, or mean nothing.
    assert!(Rendered::of(&["replicas=1"], None).unwrap().kind("PodDisruptionBudget").is_empty());
    for service in rendered.kind("Service") {
        assert!(selects(&service["spec"]["selector"]));
    }
    let claims = &rendered.one("StatefulSet")["spec"];
    assert!(selects(&claims["selector"]["matchLabels"]));
    assert_eq!(
        claims["persistentVolumeClaimRetentionPolicy"],
        json!({"whenDeleted": "Retain", "whenScaled": "Retain"})
    );
}
