//! The macOS profile against the policy, on any host.
//!
//! There is no Mac here. What stands in for its kernel is a reader of the profile language with the rules of matching that its users know; it shares no code with the
//! generator. Table of contents:

/// What a profile says of a request.
mod evaluate;
/// Regular expressions, as far as profiles use them.
mod expression;
/// Thousands of random policies and paths: the profile and the policy agree.
mod files;
/// Profiles of every preset, and what each key changes.
mod golden;
/// A Mac, as far as settings look at one.
mod host;
/// What the evaluator itself takes a profile to mean.
mod meaning;
/// What may be moved, made and linked on the way to a denied name.
mod moves;
/// Hosts, ports and sockets.
mod network;
/// Rules from the text.
mod profile;
/// Random policies and paths, from a seed.
mod random;
/// The text as nested lists.
mod reader;
