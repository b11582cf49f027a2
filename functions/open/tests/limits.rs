//! The rate limit of those who call without a credential: by address, as the gateway or the connection
//! tells it.

#[expect(dead_code, reason = "records play no part here")]
mod common;

use std::net::SocketAddr;

use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::{Request, StatusCode};
use chrono::TimeDelta;
use common::service;
use lambda_http::aws_lambda_events::apigw::ApiGatewayProxyRequestContext;
use lambda_http::request::RequestContext;
use testkit::{Answer, TestApp, assert_refusal};
use tower::ServiceExt;

/// Asks for a path from an address.
async fn from(app: &TestApp, address: &str, path: &str) -> Answer {
    let peer: SocketAddr = format!("{address}:4711").parse().expect("an address");
    let request = Request::get(format!("/open/v1{path}"))
        .header("x-forwarded-for", "203.0.113.9")
        .extension(ConnectInfo(peer));
    app.send(request.body(Body::empty()).expect("a request"))
        .await
}

#[tokio::test]
async fn an_address_may_search_60_times_a_minute_and_call_120_times() {
    let app = service(&[]).await;
    for (path, limit, wait) in [("/search", 60, 61), ("/collections", 120, 61)] {
        for number in 1..=limit {
            let answer = from(&app, "192.0.2.1", path).await;
            assert_eq!(answer.status, StatusCode::OK, "{path} {number}");
            let left = (limit - number).to_string();
            let remaining = answer.header("x-ratelimit-remaining");
            assert_eq!(remaining, Some(left.as_str()), "{path}");
        }
        for _ in 0..2 {
            let answer = from(&app, "192.0.2.1", path).await;
            let detail = format!("Rate limit exceeded. Retry after {wait} seconds.");
            assert_refusal(&answer, StatusCode::TOO_MANY_REQUESTS, &detail);
            let told = wait.to_string();
            assert_eq!(answer.header("retry-after"), Some(told.as_str()));
        }
        let other = from(&app, "192.0.2.2", path).await;
        assert_eq!(other.status, StatusCode::OK, "{path}");
    }
    app.advance(TimeDelta::seconds(61));
    for path in ["/search", "/collections"] {
        let answer = from(&app, "192.0.2.1", path).await;
        assert_eq!(answer.status, StatusCode::OK, "{path}");
    }
}

#[tokio::test]
async fn another_process_counts_the_same_address() {
    let app = service(&[]).await;
    for _ in 0..60 {
        from(&app, "192.0.2.1", "/search").await;
    }
    let place = (app.endpoint.as_str(), &app.store);
    let other = TestApp::at(place, api::Router::new(), &[], None).await;
    let service = api::serve_with_open(api::Router::new(), open::router(), &other.app);
    let peer: SocketAddr = "192.0.2.1:4711".parse().expect("an address");
    let request = Request::get("/open/v1/search").extension(ConnectInfo(peer));
    let request = request.body(Body::empty()).expect("a request");
    let Ok(response) = service.oneshot(request).await;
    let answer = Answer::read(response).await;
    assert_eq!(answer.status, StatusCode::TOO_MANY_REQUESTS);
}

/// Asks for a path as the gateway passes it on, which saw this address.
async fn through_the_gateway(app: &TestApp, address: &str, claims: &str) -> Answer {
    let mut context = ApiGatewayProxyRequestContext::default();
    context.identity.source_ip = Some(address.to_owned());
    let request = Request::get("/open/v1/search")
        .header("x-forwarded-for", claims)
        .extension(RequestContext::ApiGatewayV1(context));
    app.send(request.body(Body::empty()).expect("a request"))
        .await
}

#[tokio::test]
async fn the_gateway_says_where_a_request_is_from_and_no_header_does() {
    let app = service(&[]).await;
    for number in 0..60 {
        let claims = format!("203.0.113.{number}");
        let answer = through_the_gateway(&app, "192.0.2.1", &claims).await;
        assert_eq!(answer.status, StatusCode::OK, "{number}");
    }
    let answer = through_the_gateway(&app, "192.0.2.1", "203.0.113.99").await;
    assert_eq!(answer.status, StatusCode::TOO_MANY_REQUESTS);
    let other = through_the_gateway(&app, "192.0.2.2", "203.0.113.1").await;
    assert_eq!(other.status, StatusCode::OK);
}
