//! Templates.

use super::Iso;
use crate::protocols::labs::model::{Resources, Template, Vnc};
use serde::Serialize;
use std::collections::BTreeMap;
use uuid::Uuid;

#[derive(Serialize, utoipa::ToSchema)]
struct ShortResources<'a> {
    memory: &'a str,
    cpu: &'a str,
}

#[derive(Serialize, utoipa::ToSchema)]
struct ShortVnc {
    enabled: bool,
    port: u16,
}

/// A template in a list.
#[derive(Serialize, utoipa::ToSchema)]
pub(crate) struct TemplateShape<'a> {
    id: Uuid,
    name: &'a str,
    display_name: &'a str,
    category: &'a str,
    description: &'a str,
    base_image: &'a str,
    default_resources: ShortResources<'a>,
    vnc: ShortVnc,
    tags: &'a [String],
    created_at: Iso,
    updated_at: Iso,
}

impl<'a> From<&'a Template> for TemplateShape<'a> {
    fn from(template: &'a Template) -> TemplateShape<'a> {
        let resources = &template.default_resources;
        TemplateShape {
            id: template.id,
            name: &template.name,
            display_name: &template.display_name,
            category: &template.category,
            description: &template.description,
            base_image: &template.base_image,
            default_resources: ShortResources { memory: &resources.memory, cpu: &resources.cpu },
            vnc: ShortVnc { enabled: template.vnc.enabled, port: template.vnc.port },
            tags: &template.tags,
            created_at: Iso(template.created_at),
            updated_at: Iso(template.updated_at),
        }
    }
}

/// A template by itself.
#[derive(Serialize, utoipa::ToSchema)]
pub(crate) struct TemplateDetails<'a> {
    id: Uuid,
    name: &'a str,
    display_name: &'a str,
    category: &'a str,
    description: &'a str,
    base_image: &'a str,
    default_resources: &'a Resources,
    vnc: &'a Vnc,
    environment: &'a BTreeMap<String, String>,
    persistent_home: bool,
    idle_timeout: &'a str,
    tags: &'a [String],
    icon_url: Option<&'a str>,
    created_at: Iso,
    updated_at: Iso,
}

impl<'a> From<&'a Template> for TemplateDetails<'a> {
    fn from(template: &'a Template) -> TemplateDetails<'a> {
        TemplateDetails {
            id: template.id,
            name: &template.name,
            display_name: &template.display_name,
            category: &template.category,
            description: &template.description,
            base_image: &template.base_image,
            default_resources: &template.default_resources,
            vnc: &template.vnc,
            environment: &template.environment,
            persistent_home: template.persistent_home,
            idle_timeout: &template.idle_timeout,
            tags: &template.tags,
            icon_url: template.icon_url.as_deref(),
            created_at: Iso(template.created_at),
            updated_at: Iso(template.updated_at),
        }
    }
}
