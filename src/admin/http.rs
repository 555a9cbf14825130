//! What a visitor of the admin listener asks, and the form of the answer: as much of HTTP/1.1 as
//! probes and scrapers speak.
//!
//! One request a connection, GET or HEAD, without a body; the head is taken apart by `httparse`. What
//! stands behind the head is not looked at.

/// Bytes a request's head may have.
pub const HEAD_MAX: usize = 8 * 1024;

/// Header fields a request may have.
const FIELDS_MAX: usize = 64;

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Page {
    /// `/metrics`: the numbers, for Prometheus.
    Metrics,
    /// `/stats`: the numbers, as JSON.
    Stats,
    /// `/livez`: whether the process works.
    Live,
    /// `/readyz`: whether it lets new clients in.
    Ready,
}

/// Where each page is.
const PATHS: &[(&str, Page)] = &[
    ("/metrics", Page::Metrics),
    ("/stats", Page::Stats),
    ("/livez", Page::Live),
    ("/readyz", Page::Ready),
];

/// Whether the answer has a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// It has.
    Get,
    /// It has not, though its length is told.
    Head,
}

/// How an answer begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// 200
    Ok,
    /// 400
    BadRequest,
    /// 404
    NotFound,
    /// 405
    WrongMethod,
    /// 431
    TooLarge,
    /// 503
    Unavailable,
}

impl Status {
    fn line(self) -> &'static str {
        match self {
            Self::Ok => "200 OK",
            Self::BadRequest => "400 Bad Request",
            Self::NotFound => "404 Not Found",
            Self::WrongMethod => "405 Method Not Allowed",
            Self::TooLarge => "431 Request Header Fields Too Large",
            Self::Unavailable => "503 Service Unavailable",
        }
    }
}

/// Reads the start of what a visitor sent: `None` while the head is not whole.
pub fn read(bytes: &[u8]) -> Option<Result<(Method, Page), Status>> {
    let mut fields = [httparse::EMPTY_HEADER; FIELDS_MAX];
    let mut request = httparse::Request::new(&mut fields);
    match request.parse(bytes) {
        Ok(httparse::Status::Complete(_)) => {}
        Ok(httparse::Status::Partial) if bytes.len() < HEAD_MAX => return None,
        Ok(httparse::Status::Partial) | Err(httparse::Error::TooManyHeaders) => {
            return Some(Err(Status::TooLarge));
        }
        Err(_) => return Some(Err(Status::BadRequest)),
    }
    let target = request.path.unwrap_or_default();
    let path = target.split('?').next().unwrap_or_default();
    let page = PATHS.iter().find(|(known, _)| *known == path);
    let method = match request.method {
        Some("GET") => Some(Method::Get),
        Some("HEAD") => Some(Method::Head),
        _ => None,
    };
    Some(match (page, method) {
        (None, _) => Err(Status::NotFound),
        (_, None) => Err(Status::WrongMethod),
        (Some(&(_, page)), Some(method)) => Ok((method, page)),
    })
}

/// A whole answer.
pub fn answer(status: Status, method: Method, content_type: &str, body: &str) -> Vec<u8> {
    let allow = match status {
        Status::WrongMethod => "Allow: GET, HEAD\r\n",
        _ => "",
    };
    let mut bytes = format!(
        "HTTP/1.1 {}\r\nContent-Type: {content_type}\r\nContent-Length: {}\r\n\
         Cache-Control: no-store\r\n{allow}Connection: close\r\n\r\n",
        status.line(),
        body.len()
    )
    .into_bytes();
    if method == Method::Get {
        bytes.extend_from_slice(body.as_bytes());
    }
    bytes
}

/// An answer that is no more than its status.
pub fn plain(status: Status, method: Method) -> Vec<u8> {
    let body = format!("{}\n", status.line());
    answer(status, method, "text/plain; charset=utf-8", &body)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(text: &str) -> Option<Result<(Method, Page), Status>> {
        read(text.as_bytes())
    }

    #[test]
    fn pages_are_found_by_their_path() {
        for (text, expected) in [
            (
                "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n",
                Ok((Method::Get, Page::Metrics)),
            ),
            (
                "GET /stats HTTP/1.0\r\n\r\n",
                Ok((Method::Get, Page::Stats)),
            ),
            (
                "HEAD /livez HTTP/1.1\r\n\r\n",
                Ok((Method::Head, Page::Live)),
            ),
            (
                "GET /readyz?verbose HTTP/1.1\r\n\r\n",
                Ok((Method::Get, Page::Ready)),
            ),
            ("GET / HTTP/1.1\r\n\r\n", Err(Status::NotFound)),
            ("GET /metrics/ HTTP/1.1\r\n\r\n", Err(Status::NotFound)),
            ("POST /metrics HTTP/1.1\r\n\r\n", Err(Status::WrongMethod)),
            ("no request at all\r\n\r\n", Err(Status::BadRequest)),
            ("\u{16}\u{3}\u{1}", Err(Status::BadRequest)),
            ("*1\r\n$4\r\nPING\r\n", Err(Status::BadRequest)),
        ] {
            assert_eq!(asked(text), Some(expected), "{text:?}");
        }
    }

    #[test]
    fn a_head_may_come_in_pieces_and_has_a_limit() {
        let text = "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n";
        for cut in 0..text.len() {
            assert_eq!(asked(&text[..cut]), None, "{cut}");
        }
        let long = format!("GET /metrics HTTP/1.1\r\nHost: {}", "x".repeat(HEAD_MAX));
        assert_eq!(asked(&long), Some(Err(Status::TooLarge)));
        let many = format!("GET /metrics HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(100));
        assert_eq!(asked(&many), Some(Err(Status::TooLarge)));
    }

    #[test]
    fn an_answer_tells_its_length_with_or_without_its_body() {
        let get = answer(Status::Ok, Method::Get, "text/plain", "body\n");
        let get = String::from_utf8(get).expect("text");
        assert!(get.starts_with("HTTP/1.1 200 OK\r\n"), "{get}");
        assert!(get.contains("\r\nContent-Length: 5\r\n"), "{get}");
        assert!(get.ends_with("\r\n\r\nbody\n"), "{get}");
        let head = answer(Status::Ok, Method::Head, "text/plain", "body\n");
        assert_eq!(head, get.as_bytes()[..get.len() - 5]);
    }
}
