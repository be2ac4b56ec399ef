//! Image builds: layers, logs, failures.

use crate::caller::Caller;
use modal_api::*;
use std::collections::BTreeMap;

#[tokio::test]
async fn a_layer_stands_on_the_one_before() {
    let mut caller = Caller::start().await;
    let mut layer =
        caller.layer(&["FROM base", "ENV MODE=test", "COPY tool /opt-tool/", "CMD [\"sleep\", \"7\"]"]);
    let image = layer.image.as_mut().unwrap();
    image.base_images = vec![BaseImage { image_id: caller.image_id.clone(), docker_tag: "base".to_owned() }];
    image.context_files = vec![ImageContextFile { filename: "tool".to_owned(), data: b"text".to_vec() }];
    let (image_id, result, log) = caller.build_layer(layer.clone()).await;
    assert_eq!(result.status(), GenericStatus::Success);
    assert!(log.starts_with("=> Step 0/4: FROM base\n"), "{log}");
    let again = caller.control.image_get_or_create(layer).await.unwrap().into_inner();
    assert_eq!(
        (again.image_id.as_str(), again.result.unwrap().status()),
        (image_id.as_str(), GenericStatus::Success)
    );

    let mut order = caller.order();
    let definition = order.definition.as_mut().unwrap();
    definition.image_id = image_id;
    definition.entrypoint_args = Vec::new();
    let mut sandbox = caller.create(order).await.unwrap();
    let (output, _) = sandbox.shell("pwd; echo $MODE; cat /opt-tool/tool").await;
    assert_eq!(output, "/workspace\ntest\ntext");
}

#[tokio::test]
async fn a_build_that_cannot_be_says_why_and_is_tried_again() {
    let mut caller = Caller::start().await;
    caller.fake.fail_command("npm ci", "npm ERR! missing lock file");
    for (commands, words) in [
        (vec!["FROM no-such-image:1"], "no-such-image:1: manifest unknown"),
        (vec!["FROM debian:12", "RUN exit 3"], "'exit 3' returned a non-zero code: 3"),
        (vec!["FROM debian:12", "RUN cd app && npm ci"], "'cd app && npm ci' returned a non-zero code: 1"),
        (vec!["FROM debian:12", "COPY missing /x"], "COPY failed: missing is not in the context"),
        (vec!["RUN true"], "the first command must be FROM"),
        (vec!["FROM debian:12", "BUILD it"], "unknown instruction: BUILD"),
    ] {
        let (first, result, log) = caller.build(&commands).await;
        assert_eq!(result.status(), GenericStatus::Failure);
        assert!(result.exception.contains(words), "{}", result.exception);
        assert!(log.contains(words), "{log}");
        assert_eq!(log.contains("npm ERR!"), commands.concat().contains("npm ci"));
        let (second, ..) = caller.build(&commands).await;
        assert_ne!(first, second);
    }
}

#[tokio::test]
async fn a_private_base_needs_a_name_and_a_password() {
    let mut caller = Caller::start().await;
    let mut keys = BTreeMap::from([("REGISTRY_USERNAME".to_owned(), "u".to_owned())]);
    for expected in [GenericStatus::Failure, GenericStatus::Success] {
        let secret = SecretGetOrCreateRequest {
            object_creation_type: ObjectCreationType::AnonymousOwnedByApp.into(),
            env_dict: keys.clone(),
            app_id: caller.app_id.clone(),
            ..SecretGetOrCreateRequest::default()
        };
        let secret_id = caller.control.secret_get_or_create(secret).await.unwrap().into_inner().secret_id;
        let mut layer = caller.layer(&["FROM registry.example/team/base:1"]);
        layer.image.as_mut().unwrap().image_registry_config =
            Some(ImageRegistryConfig { registry_auth_type: RegistryAuthType::StaticCreds.into(), secret_id });
        let (_, result, _) = caller.build_layer(layer).await;
        assert_eq!(result.status(), expected, "{}", result.exception);
        keys.insert("REGISTRY_PASSWORD".to_owned(), "p".to_owned());
    }
}

#[tokio::test]
async fn logs_are_read_from_the_entry_after_the_last_one() {
    let mut caller = Caller::start().await;
    let (image_id, ..) = caller.build(&["FROM debian:12", "RUN one", "RUN two"]).await;
    let mut join = async |last_entry_id: &str| {
        let request = ImageJoinStreamingRequest {
            image_id: image_id.clone(),
            timeout: 1.0,
            last_entry_id: last_entry_id.to_owned(),
            include_logs_for_finished: true,
        };
        let mut answers = caller.control.image_join_streaming(request).await.unwrap().into_inner();
        let mut all = Vec::new();
        while let Some(answer) = answers.message().await.unwrap() {
            all.push(answer);
        }
        all
    };
    let all = join("").await;
    assert_eq!(all.len(), 4);
    assert!(all[3].eof && all[3].result.is_some());
    assert_eq!(join(&all[1].entry_id).await, all[2..]);
}
