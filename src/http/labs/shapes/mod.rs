//! What answers are made of, field by field as in the contract's examples: what an example has is there, null where it is not known.

mod agents;
mod sessions;
mod templates;
mod users;

pub(super) use agents::{AgentDetails, AgentShape, DrainedShape, EnrolledShape, PulseShape, Statistics, Status};
pub(super) use sessions::{MadeSession, MovedSession, SessionDetails, SessionShape};
pub(super) use templates::{TemplateDetails, TemplateShape};
pub(super) use users::{ListedUser, LoginShape, UserShape};

use crate::{
    http::answer::{self, Answer},
    protocols::labs::{
        dialect::iso,
        record::{Listed, Page},
    },
    realtime::UnixMicros,
};
use http::StatusCode;
use serde::{Serialize, Serializer, ser::SerializeMap};

/// A time as the contract writes it.
#[derive(Clone, Copy, utoipa::ToSchema)]
#[schema(value_type = String, format = DateTime)]
pub(super) struct Iso(pub(super) UnixMicros);

impl Serialize for Iso {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&iso(self.0))
    }
}

#[derive(Serialize, utoipa::ToSchema)]
pub(super) struct Pagination {
    page: u32,
    limit: u32,
    total: u64,
    total_pages: u64,
}

/// A page of a list, called `name`.
struct List<'a, Shape> {
    name: &'static str,
    shapes: &'a [Shape],
    pagination: Pagination,
}

impl<Shape: Serialize> Serialize for List<'_, Shape> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(2))?;
        map.serialize_entry(self.name, self.shapes)?;
        map.serialize_entry("pagination", &self.pagination)?;
        map.end()
    }
}

/// 200 with a page of a list.
pub(super) fn list<'a, Shape: Serialize + From<&'a T>, T>(name: &'static str, listed: &'a Listed<T>, page: Page) -> Answer {
    let Page { page, limit } = page;
    let pagination = Pagination { page, limit, total: listed.total, total_pages: listed.total.div_ceil(u64::from(limit.max(1))) };
    let shapes: Vec<Shape> = listed.items.iter().map(Shape::from).collect();
    done(&List { name, shapes: &shapes, pagination })
}

/// 200.
pub(super) fn done(shape: &impl Serialize) -> Answer {
    answer::json(StatusCode::OK, shape)
}

/// 204.
pub(super) fn nothing() -> Answer {
    answer::empty(StatusCode::NO_CONTENT)
}
