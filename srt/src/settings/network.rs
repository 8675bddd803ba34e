//! The objects in `network`.

use super::field::Field;
use super::keys::Table;
use super::model::{MitmProxySettings, ParentProxySettings};
use super::proxy_url;
use super::text::check_controls;
use crate::policy::{DomainList, Located};

/// `mitmProxy`: both keys are needed, and at least one domain.
pub(super) fn mitm_proxy(field: &mut Field<'_, '_, '_>) -> Option<Located<MitmProxySettings>> {
    let (mut socket_path, mut domains) = (None, None);
    field.walk(Table::MitmProxy, |part, key| match key.name {
        "socketPath" => socket_path = Some(part.text()),
        _ => domains = Some((part.elements(key.shape).is_empty(), part.domains(DomainList::Allow))),
    });
    let has_path = field.required(socket_path.is_some(), "socketPath");
    let has_domains = field.required(domains.is_some(), "domains");
    if let Some((true, _)) = domains {
        field.fault("\"domains\" is empty, so nothing would go there");
    }
    let (socket_path, (_, domains)) = (has_path && has_domains).then_some(socket_path.flatten().zip(domains))??;
    Some(field.document.located(MitmProxySettings { socket_path: socket_path.value, domains }, field.value))
}

/// `parentProxy`: any of its keys may be missing.
pub(super) fn parent_proxy(field: &mut Field<'_, '_, '_>) -> Option<Located<ParentProxySettings>> {
    let mut parent = ParentProxySettings::default();
    field.walk(Table::ParentProxy, |part, key| match key.name {
        "http" => parent.http = proxy(part),
        "https" => parent.https = proxy(part),
        _ => parent.no_proxy = part.text_with(check_controls).map(|text| text.value),
    });
    Some(field.document.located(parent, field.value))
}

/// A message must not repeat the password that may stand in the URL.
fn proxy(field: &mut Field<'_, '_, '_>) -> Option<String> {
    let url = field.text_with(|_| Ok(()))?.value;
    match proxy_url::check(&url) {
        Ok(()) => Some(url),
        Err(cause) => {
            field.document.entry_fault(&field.at, &proxy_url::without_password(&url), field.value, cause);
            None
        }
    }
}
