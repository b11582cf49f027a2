//! The table of routes.

use axum::http::Method;
use model::key::Scope;

/// What a route needs of its caller.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Access {
    /// Nothing.
    Public,
    /// Nothing; who calls is limited by address.
    Open,
    /// A token.
    Read,
    /// A token that is no viewer's.
    Change,
    /// An API key with this scope.
    Key(Scope),
    /// An API key.
    AnyKey,
}

/// A route: method, path, and what it needs.
///
/// If you are here because `the_table_of_routes_is_complete` failed, you have added a route: put
/// it here, and every guarantee is tested for it.
pub(crate) const ROUTES: [(&str, &str, Access); 70] = [
    ("GET", "/auth/keys", Access::Key(Scope::Admin)),
    ("POST", "/auth/keys", Access::Key(Scope::Admin)),
    ("DELETE", "/auth/keys/{key_id}", Access::Key(Scope::Admin)),
    (
        "POST",
        "/auth/keys/{key_id}/rotate",
        Access::Key(Scope::Admin),
    ),
    ("GET", "/collections", Access::Key(Scope::Search)),
    (
        "PATCH",
        "/collections/{collection}",
        Access::Key(Scope::Records),
    ),
    ("GET", "/health", Access::Public),
    (
        "POST",
        "/ingest/batch/{collection}/{record_type}",
        Access::Key(Scope::Upload),
    ),
    (
        "POST",
        "/ingest/upload/{collection}/{record_type}",
        Access::Key(Scope::Upload),
    ),
    ("GET", "/records", Access::Key(Scope::Search)),
    ("POST", "/records", Access::Key(Scope::Records)),
    ("PATCH", "/records/bulk", Access::Key(Scope::Records)),
    ("POST", "/records/bulk-delete", Access::Key(Scope::Records)),
    (
        "POST",
        "/records/bulk-visibility",
        Access::Key(Scope::Records),
    ),
    ("DELETE", "/records/{id}", Access::Key(Scope::Records)),
    ("GET", "/records/{id}", Access::Key(Scope::Search)),
    ("PATCH", "/records/{id}", Access::Key(Scope::Records)),
    (
        "PATCH",
        "/records/{id}/visibility",
        Access::Key(Scope::Records),
    ),
    ("GET", "/schemas", Access::Key(Scope::Search)),
    ("POST", "/schemas", Access::Key(Scope::Records)),
    (
        "GET",
        "/schemas/{collection}/{record_type}",
        Access::Key(Scope::Search),
    ),
    ("GET", "/search/{collection}", Access::Key(Scope::Search)),
    ("POST", "/search/{collection}", Access::Key(Scope::Search)),
    (
        "POST",
        "/upload/{collection}/{record_type}/batch",
        Access::Key(Scope::Upload),
    ),
    (
        "POST",
        "/upload/{collection}/{record_type}/file",
        Access::Key(Scope::Upload),
    ),
    (
        "POST",
        "/upload/{collection}/{record_type}/upload",
        Access::Key(Scope::Upload),
    ),
    ("GET", "/uploads/{id}", Access::Key(Scope::Upload)),
    ("GET", "/uploads/{id}/dlq", Access::Key(Scope::Upload)),
    ("GET", "/usage", Access::AnyKey),
    ("GET", "/portal/account", Access::Read),
    ("PATCH", "/portal/account", Access::Change),
    ("GET", "/portal/analytics", Access::Read),
    ("GET", "/portal/analytics/agents", Access::Read),
    ("GET", "/portal/analytics/daily", Access::Read),
    ("GET", "/portal/collections", Access::Read),
    ("DELETE", "/portal/collections/{name}", Access::Change),
    (
        "POST",
        "/portal/collections/{name}/cancel-replace",
        Access::Change,
    ),
    ("POST", "/portal/collections/{name}/replace", Access::Change),
    (
        "GET",
        "/portal/collections/{name}/replace-status",
        Access::Read,
    ),
    ("POST", "/portal/collections/{name}/swap", Access::Change),
    ("GET", "/portal/keys", Access::Read),
    ("POST", "/portal/keys", Access::Change),
    ("DELETE", "/portal/keys/{key_id}", Access::Change),
    ("PATCH", "/portal/keys/{key_id}", Access::Change),
    ("POST", "/portal/keys/{key_id}/rotate", Access::Change),
    ("GET", "/portal/quickstart", Access::Read),
    ("GET", "/portal/records", Access::Read),
    ("DELETE", "/portal/records/{id}", Access::Change),
    ("GET", "/portal/records/{id}", Access::Read),
    ("PATCH", "/portal/records/{id}", Access::Change),
    ("GET", "/portal/schemas", Access::Read),
    (
        "DELETE",
        "/portal/schemas/{collection}/{record_type}",
        Access::Change,
    ),
    (
        "GET",
        "/portal/schemas/{collection}/{record_type}",
        Access::Read,
    ),
    (
        "PUT",
        "/portal/schemas/{collection}/{record_type}",
        Access::Change,
    ),
    ("POST", "/portal/search/{collection}", Access::Read),
    (
        "POST",
        "/portal/upload/{collection}/{record_type}/upload",
        Access::Change,
    ),
    ("GET", "/portal/uploads", Access::Read),
    ("POST", "/portal/uploads", Access::Change),
    ("GET", "/portal/uploads/{id}", Access::Read),
    ("GET", "/portal/uploads/{id}/errors", Access::Read),
    ("GET", "/portal/usage", Access::Read),
    ("GET", "/portal/usage/daily", Access::Read),
    ("GET", "/portal/usage/keys", Access::Read),
    ("GET", "/open/v1/collections", Access::Open),
    (
        "GET",
        "/open/v1/collections/{collection}/schema",
        Access::Open,
    ),
    ("GET", "/open/v1/records/{id}", Access::Open),
    ("GET", "/open/v1/search", Access::Open),
    ("POST", "/open/v1/search", Access::Open),
    ("GET", "/open/v1/search/{collection}", Access::Open),
    ("POST", "/open/v1/search/{collection}", Access::Open),
];

/// A path with something in the place of each variable.
pub(crate) fn filled(path: &str) -> String {
    path.replace("{id}", "550e8400-e29b-41d4-a716-446655440000")
        .replace("{key_id}", "550e8400-e29b-41d4-a716-446655440000")
        .replace("{collection}", "c")
        .replace("{name}", "c")
        .replace("{record_type}", "p")
}

pub(crate) fn method(name: &str) -> Method {
    name.parse().expect("a method")
}

/// The portal's routes that have a caller.
pub(crate) fn called() -> impl Iterator<Item = (Method, String, Access)> {
    let routes = ROUTES.into_iter();
    let of_portal = routes.filter(|(_, _, it)| [Access::Read, Access::Change].contains(it));
    of_portal.map(|(name, path, access)| (method(name), filled(path), access))
}

/// The routes of the main API as they are declared, each with the scope that it asks for, if any.
pub(crate) fn by_key() -> impl Iterator<Item = (&'static str, &'static str, Option<Scope>)> {
    ROUTES
        .into_iter()
        .filter_map(|(name, path, access)| match access {
            Access::Key(scope) => Some((name, path, Some(scope))),
            Access::AnyKey => Some((name, path, None)),
            _ => None,
        })
}

/// The routes of both.
pub(crate) fn both() -> impl Iterator<Item = (Method, String)> {
    let keyed = by_key().map(|(name, path, _)| (method(name), filled(path)));
    called()
        .map(|(method, path, _)| (method, path))
        .chain(keyed)
}
