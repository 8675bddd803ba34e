//! Denials as OpenTelemetry logs (OTLP over HTTP, protobuf).
//!
//! The loop only adds to a queue of bounded length; a thread of the SDK sends batches. An endpoint that is dead, slow or wrong costs the records that do not fit into the queue, and nothing else.
//! Plain HTTP: to a collector on this host or in this pod, which knows how to go on from there.
//!
//! Attributes are the semantic conventions' own where they have one; the rest is under `srt.`. See opentelemetry.io/docs/specs/semconv.

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::header::{CONNECTION, HOST};
use hyper::{Request, Response, Uri};
use hyper_util::rt::TokioIo;
use opentelemetry::KeyValue;
use opentelemetry::logs::{AnyValue, LogRecord as _, Logger as _, LoggerProvider as _, Severity};
use opentelemetry_http::{HttpClient, HttpError};
use opentelemetry_otlp::{LogExporter, Protocol, WithExportConfig as _, WithHttpConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::logs::{BatchConfigBuilder, BatchLogProcessor, SdkLogger, SdkLoggerProvider};
use serde::Deserialize;

use super::registry::Sink;
use super::wire::Shown;
use crate::Fault;
use crate::violation::{Event, Kind};

/// Records that wait for the endpoint.
const QUEUE: usize = 1024;
/// Records that are sent at once.
const BATCH: usize = 256;
/// How long records wait for more.
const DELAY: Duration = Duration::from_secs(1);
/// Connecting, sending, and the answer, together.
const REQUEST: Duration = Duration::from_secs(10);
/// How long the end waits for the last batch.
const LAST_WAIT: Duration = Duration::from_secs(2);
/// Longest text of one attribute, in bytes: what a sandbox chose is bounded here too.
const TEXT: usize = 1024;
/// Arguments of a process that are told.
const ARGUMENTS: usize = 16;
/// Longest answer.
const ANSWER: usize = 64 * 1024;

/// Sends denials to an endpoint.
pub(super) struct Exporter {
    provider: SdkLoggerProvider,
    logger: SdkLogger,
}

impl Exporter {
    /// `endpoint` is `http://HOST:PORT`; the path for logs is added where it is not there.
    pub(super) fn start(endpoint: &str) -> Result<Exporter, Fault> {
        let fault = |cause: &dyn std::fmt::Display| Fault::new(format!("export to {endpoint}"), cause);
        let uri: Uri = endpoint.parse().map_err(|error| fault(&error))?;
        if uri.scheme_str() != Some("http") || uri.host().is_none() {
            let hint = "a collector near by takes http://127.0.0.1:4318 and sends it on by TLS";
            return Err(fault(&"it is no endpoint of the form http://HOST:PORT").hint(hint));
        }
        let base = endpoint.trim_end_matches('/');
        let url = if base.ends_with("/v1/logs") { base.to_owned() } else { format!("{base}/v1/logs") };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|error| fault(&error))?;
        let exporter = LogExporter::builder()
            .with_http()
            .with_http_client(Client { runtime })
            .with_protocol(Protocol::HttpBinary)
            .with_endpoint(url)
            .with_timeout(REQUEST)
            .build()
            .map_err(|error| fault(&error))?;
        let config =
            BatchConfigBuilder::default().with_max_queue_size(QUEUE).with_max_export_batch_size(BATCH).with_scheduled_delay(DELAY).build();
        let mut resource = vec![KeyValue::new("service.name", "srt"), KeyValue::new("service.version", env!("CARGO_PKG_VERSION"))];
        if let Ok(host) = rustix::system::uname().nodename().to_str() {
            resource.push(KeyValue::new("host.name", host.to_owned()));
        }
        let provider = SdkLoggerProvider::builder()
            .with_log_processor(BatchLogProcessor::builder(exporter).with_batch_config(config).build())
            .with_resource(Resource::builder_empty().with_attributes(resource).build())
            .build();
        Ok(Exporter { logger: provider.logger("srt"), provider })
    }
}

impl Sink for Exporter {
    fn packet(&mut self, _: u32, _: &[u8]) {}

    fn violation(&mut self, run: &Shown<'_>, line: &[u8]) {
        #[derive(Deserialize)]
        struct Violation {
            event: Event,
        }
        // The run is another user's program: what is no event is not exported.
        let Ok(Violation { event }) = serde_json::from_slice(line) else { return };
        let mut record = self.logger.create_log_record();
        record.set_timestamp(event.time);
        record.set_event_name("srt.violation");
        record.set_severity_number(Severity::Warn);
        record.set_severity_text("WARN");
        record.set_body(text(&format!("denied {} {}", event.operation, event.target)));
        record.add_attributes(attributes(run, &event));
        self.logger.emit(record);
    }
}

impl Drop for Exporter {
    fn drop(&mut self) {
        // What cannot be sent now is lost with the process.
        let _ = self.provider.shutdown_with_timeout(LAST_WAIT);
    }
}

fn attributes(run: &Shown<'_>, event: &Event) -> Vec<(&'static str, AnyValue)> {
    let number = |number: u64| AnyValue::Int(number.try_into().unwrap_or(i64::MAX));
    let mut found = vec![
        ("srt.run.id", number(run.run)),
        ("srt.run.pid", AnyValue::Int(run.pid.into())),
        ("srt.run.command", text(run.command)),
        ("user.id", text(&run.uid.to_string())),
        ("srt.violation.kind", word(&event.kind)),
        ("srt.violation.source", word(&event.source)),
        ("srt.violation.operation", text(&event.operation)),
        ("srt.violation.target", text(&event.target)),
        ("srt.violation.reason", text(&event.reason)),
        ("srt.violation.count", number(event.count)),
        ("srt.rule.id", text(&event.rule.id)),
        ("srt.rule.origin", text(&event.rule.origin)),
    ];
    found.extend(event.errno.as_deref().map(|errno| ("error.type", text(errno))));
    found.extend(event.allow.as_deref().map(|allow| ("srt.violation.allow", text(allow))));
    if matches!(event.kind, Kind::FsRead | Kind::FsWrite | Kind::FsExec) {
        found.push(("file.path", text(&event.target)));
    }
    if let (Kind::NetConnect | Kind::NetHttp | Kind::NetTls, Some((host, port))) = (event.kind, event.target.rsplit_once(':'))
        && let Ok(port) = port.parse::<u16>()
    {
        found.extend([("server.address", text(host)), ("server.port", AnyValue::Int(port.into()))]);
    }
    if let Some(process) = &event.process {
        let arguments = process.argv.iter().take(ARGUMENTS).map(|argument| text(argument)).collect();
        found.extend([
            ("process.pid", AnyValue::Int(process.pid.into())),
            ("process.parent_pid", AnyValue::Int(process.ppid.into())),
            ("process.executable.path", text(&process.exe)),
            ("process.command_args", AnyValue::ListAny(Box::new(arguments))),
        ]);
    }
    found
}

fn text(text: &str) -> AnyValue {
    text[..text.floor_char_boundary(TEXT)].to_owned().into()
}

/// A name as events spell it.
fn word(name: &impl serde::Serialize) -> AnyValue {
    match serde_json::to_value(name) {
        Ok(serde_json::Value::String(name)) => text(&name),
        _ => text("unknown"),
    }
}

/// One connection for each request, in the thread that sends batches.
#[derive(Debug)]
struct Client {
    runtime: tokio::runtime::Runtime,
}

#[async_trait]
impl HttpClient for Client {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        // The thread that asks does nothing else, and has no loop of its own.
        self.runtime.block_on(async { tokio::time::timeout(REQUEST, post(request)).await? })
    }
}

async fn post(mut request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
    let authority = request.uri().authority().ok_or("the endpoint has no host")?.clone();
    let host = authority.host().trim_start_matches('[').trim_end_matches(']');
    let stream = tokio::net::TcpStream::connect((host, authority.port_u16().unwrap_or(80))).await?;
    let path = request.uri().path_and_query().map_or("/", |path| path.as_str()).to_owned();
    *request.uri_mut() = path.parse()?;
    request.headers_mut().insert(HOST, authority.as_str().parse()?);
    request.headers_mut().insert(CONNECTION, "close".parse()?);
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let answer = async {
        let (head, body) = sender.send_request(request.map(Full::new)).await?.into_parts();
        let body = Limited::new(body, ANSWER).collect().await?.to_bytes();
        Ok(Response::from_parts(head, body))
    };
    let (answer, _) = tokio::join!(answer, connection);
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_is_a_plain_url_of_http() {
        for endpoint in ["", "localhost:4318", "https://collector:4318", "http://", "file:///x"] {
            assert!(Exporter::start(endpoint).is_err(), "{endpoint}");
        }
        assert!(Exporter::start("http://[::1]:4318/").is_ok());
    }

    #[test]
    fn texts_of_the_sandbox_are_bounded() {
        let AnyValue::String(cut) = text(&"\u{e4}".repeat(TEXT)) else { panic!("it is text") };
        assert_eq!(cut.as_str().len(), TEXT);
    }
}
