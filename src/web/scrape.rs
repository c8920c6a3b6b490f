//! Answers scrapes.

use std::io::{self, BufWriter, IntoInnerError};
use std::sync::Arc;
use std::time::SystemTime;

use axum::body::Body;
use axum::http::request::Parts;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use flate2::Compression;
use flate2::write::GzEncoder;

use super::FleetSource;
use super::negotiate::{self, Coding};
use super::renderer::{BodyWriter, Busy, CHUNK_BYTES, RenderPool, TextWriter};
use crate::metrics::{Format, Process, encode};

/// The response to GET or HEAD; status 503 if too many scrapes are in progress.
pub(super) async fn answer(source: Arc<dyn FleetSource>, pool: &RenderPool, request: &Parts) -> Result<Response, Busy> {
    let (format, coding) = (negotiate::format(&request.headers), negotiate::coding(&request.headers));
    let body = pool.body(request, move |out| write(&*source, format, coding, out)).await?;
    let mut response = exposition(body, format);
    if coding == Coding::Gzip {
        response.headers_mut().insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    Ok(response)
}

pub(super) fn exposition(body: Body, format: Format) -> Response {
    let headers = [(header::CONTENT_TYPE, format.content_type()), (header::VARY, "accept, accept-encoding")];
    (headers, body).into_response()
}

fn write(source: &dyn FleetSource, format: Format, coding: Coding, out: &mut BodyWriter) -> io::Result<()> {
    let (fleet, process, now) = (source.fleet(), Process::read(), SystemTime::now());
    match coding {
        Coding::Identity => TextWriter::write_to(out, |text| encode(fleet, process, now, format, text)),
        Coding::Gzip => {
            // Level 6 takes several times as long as rendering, and saves only a tenth of the size.
            let mut gzip = BufWriter::with_capacity(CHUNK_BYTES, GzEncoder::new(out, Compression::fast()));
            TextWriter::write_to(&mut gzip, |text| encode(fleet, process, now, format, text))?;
            gzip.into_inner().map_err(IntoInnerError::into_error)?.finish().map(drop)
        }
    }
}
