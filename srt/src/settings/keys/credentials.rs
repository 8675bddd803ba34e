//! Keys of `credentials`.

use super::Handling::{Part, Refused, TrueRefused};
use super::Shape::{Any, Bool, Domains, Objects, OneOf, Text, Texts};
use super::{Key, Shape, Table, key, served};
use crate::policy::DomainList::Allow;
use crate::settings::credentials;

const MODE: Shape = OneOf(&["deny", "mask"]);
const ON_NO_MATCH: Shape = OneOf(&["warn", "deny", "error"]);
const DECODE: Shape = OneOf(&["jwt"]);
const MASKING: &str = "secrets are denied, not masked";

pub(super) const KEYS: &[Key] = &[
    key(
        Table::Credentials,
        "files",
        Objects(Table::CredentialFile),
        served(|field, settings| settings.credentials.deny_files = credentials::files(field)),
        r#"[{"path": "~/.netrc", "mode": "deny"}]"#,
        "Files that may not be read, without exceptions.",
    ),
    key(
        Table::Credentials,
        "envVars",
        Objects(Table::CredentialVariable),
        served(|field, settings| settings.credentials.deny_env = credentials::variables(field)),
        r#"[{"name": "API_TOKEN", "mode": "deny"}]"#,
        "Environment variables that the command does not get.",
    ),
    key(Table::Credentials, "allowPlaintextInject", Bool, TrueRefused(MASKING), "false", "Put masked secrets into plain HTTP."),
    key(Table::Credentials, "awsPairs", Any, Refused(MASKING), "[]", "Variables that hold AWS keys to sign with."),
    key(Table::Credentials, "sigv4", Any, Refused(MASKING), "{}", "How requests signed for AWS are treated."),
    key(Table::CredentialFile, "path", Text, Part, r#""~/.netrc""#, "The file."),
    key(Table::CredentialFile, "mode", MODE, Part, r#""deny""#, "`deny`; `mask` is refused."),
    key(Table::CredentialFile, "extract", Text, Part, r#""token=(.*)""#, "Only with `mask`."),
    key(Table::CredentialFile, "onExtractNoMatch", ON_NO_MATCH, Part, r#""warn""#, "Only with `mask`."),
    key(Table::CredentialFile, "decode", DECODE, Part, r#""jwt""#, "Only with `mask`."),
    key(Table::CredentialFile, "maskClaims", Texts, Part, r#"["sub"]"#, "Only with `mask`."),
    key(Table::CredentialFile, "maskDuplicates", Bool, Part, "true", "Only with `mask`."),
    key(Table::CredentialFile, "injectHosts", Domains(Allow), Part, r#"["api.example.com"]"#, "Only with `mask`."),
    key(Table::CredentialVariable, "name", Text, Part, r#""API_TOKEN""#, "The variable."),
    key(Table::CredentialVariable, "mode", MODE, Part, r#""deny""#, "`deny`; `mask` is refused."),
    key(Table::CredentialVariable, "extract", Text, Part, r#""token=(.*)""#, "Only with `mask`."),
    key(Table::CredentialVariable, "onExtractNoMatch", ON_NO_MATCH, Part, r#""warn""#, "Only with `mask`."),
    key(Table::CredentialVariable, "decode", DECODE, Part, r#""jwt""#, "Only with `mask`."),
    key(Table::CredentialVariable, "maskClaims", Texts, Part, r#"["sub"]"#, "Only with `mask`."),
    key(Table::CredentialVariable, "injectHosts", Domains(Allow), Part, r#"["api.example.com"]"#, "Only with `mask`."),
];
