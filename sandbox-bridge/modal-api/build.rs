//! Writes the client code of both services, and with the feature `server` their server code, from the table in `src/services.rs`.

#[expect(unreachable_pub, reason = "the library exports it")]
#[path = "src/services.rs"]
mod services;

use services::{Method, SERVICES, Streaming};
use std::env;

fn main() {
    println!("cargo::rerun-if-changed=src/services.rs");
    let services: Vec<_> = SERVICES
        .iter()
        .map(|service| {
            let methods = service.methods.iter().map(method);
            methods
                .fold(
                    tonic_build::manual::Service::builder().package(service.package).name(service.name),
                    |builder, method| builder.method(method),
                )
                .comment(service.comment)
                .build()
        })
        .collect();
    tonic_build::manual::Builder::new()
        .build_client(true)
        .build_server(env::var_os("CARGO_FEATURE_SERVER").is_some())
        .build_transport(false)
        .compile(&services);
}

fn method(method: &Method) -> tonic_build::manual::Method {
    let builder = tonic_build::manual::Method::builder()
        .route_name(method.name)
        .name(snake_case(method.name))
        .input_type(rust_type(method.request))
        .output_type(rust_type(method.response))
        .codec_path("tonic_prost::ProstCodec")
        .comment(method.comment);
    match method.streaming {
        Streaming::None => builder.build(),
        Streaming::Request => builder.client_streaming().build(),
        Streaming::Response => builder.server_streaming().build(),
    }
}

fn rust_type(message: &str) -> String {
    let name = if message == services::EMPTY { "Empty" } else { message };
    format!("crate::{name}")
}

fn snake_case(name: &str) -> String {
    let mut out = String::new();
    for character in name.chars() {
        if character.is_ascii_uppercase() && !out.is_empty() {
            out.push('_');
        }
        out.push(character.to_ascii_lowercase());
    }
    out
}
