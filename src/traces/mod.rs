//! Traces: spans of what takes time and crosses rooms, as OpenTelemetry has them. What a span is, whose child it is, whether it is told of,
//! and how it is written for a collector. Who takes the time and sends it: [`crate::observe::traces`].
//!
//! All of it is behind the feature `otlp`. Without it [`Context`] and [`SignIns`] are types without a value or without size, whose
//! methods do nothing, so that whoever calls them need not know.

#[cfg(feature = "otlp")]
mod context;
#[cfg(feature = "otlp")]
mod otlp;
#[cfg(feature = "otlp")]
mod sampling;
#[cfg(feature = "otlp")]
mod sign_ins;
#[cfg(not(feature = "otlp"))]
mod silent;
#[cfg(feature = "otlp")]
mod span;

#[cfg(not(feature = "otlp"))]
pub use silent::{Context, Sampler, SignIns, Span};
#[cfg(feature = "otlp")]
pub use {
    context::Context,
    otlp::{Resource, rejected, request},
    sampling::{Dice, Sampler},
    sign_ins::SignIns,
    span::{Event, Kind, Parent, Span, Value},
};
