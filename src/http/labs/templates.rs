//! Templates: listed, shown; made, replaced and removed by admins.

use super::{
    Rooms,
    auth::keep,
    caller::{admin, caller, path},
    fault::Fault,
    fields::Fields,
    given::{self, is_name, template_flaw},
    params,
    shapes::{TemplateDetails, TemplateShape, done, list, nothing},
};
use crate::{
    http::{
        answer::{self, Answer},
        call::Call,
    },
    protocols::labs::{
        model::{Resources, Template, Vnc},
        record::{Kept, Record},
    },
    realtime::UnixMicros,
};
use http::StatusCode;
use uuid::Uuid;

const ENTRIES: u32 = 50;

/// GET /templates
pub(super) async fn all<S: Rooms>(call: Call<S>) -> Result<Answer, Fault> {
    caller(&call).await?;
    let category = params::text(&call, "category")?;
    let page = params::page(&call, ENTRIES)?;
    let listed = call.house.templates(category, page).await?;
    Ok(list::<TemplateShape<'_>, _>("templates", &listed, page))
}

/// GET /templates/{template}
pub(super) async fn one<S: Rooms>(call: Call<S>) -> Result<Answer, Fault> {
    caller(&call).await?;
    Ok(done(&TemplateDetails::from(&there(&call).await?)))
}

/// POST /templates
pub(super) async fn make<S: Rooms>(call: Call<S>) -> Result<Answer, Fault> {
    admin(&call).await?;
    let mut fields = Fields::of(&call)?;
    let name = fields.needed("name")?;
    let template = read(fields, name, given::v4(&*call.house), call.house.now()).map_err(of_template)?;
    match keep(&*call.house, Record::Template { template: Box::new(template.clone()), replace: false }).await? {
        Kept::Done => Ok(answer::json(StatusCode::CREATED, &TemplateDetails::from(&template))),
        Kept::Taken | Kept::Missing => Err(Fault::TemplateTaken),
    }
}

/// PUT /templates/{template}
pub(super) async fn change<S: Rooms>(call: Call<S>) -> Result<Answer, Fault> {
    admin(&call).await?;
    let mut fields = Fields::of(&call)?;
    let (named, name) = (fields.text("name").map_err(of_template)?, path(&call, "template"));
    if named.is_some_and(|named| named != name) {
        return Err(Fault::TemplateField("name", "Expected the name in the path, or none"));
    }
    let old = there(&call).await?;
    let new = read(fields, old.name, old.id, call.house.now()).map_err(of_template)?;
    let template = Template { created_at: old.created_at, ..new };
    match keep(&*call.house, Record::Template { template: Box::new(template.clone()), replace: true }).await? {
        Kept::Done => Ok(done(&TemplateDetails::from(&template))),
        Kept::Taken | Kept::Missing => Err(Fault::NoTemplate(template.name)),
    }
}

/// DELETE /templates/{template}
pub(super) async fn remove<S: Rooms>(call: Call<S>) -> Result<Answer, Fault> {
    admin(&call).await?;
    let name = path(&call, "template").to_owned();
    match keep(&*call.house, Record::NoTemplate { name: name.clone() }).await? {
        Kept::Done => Ok(nothing()),
        Kept::Missing | Kept::Taken => Err(Fault::NoTemplate(name)),
    }
}

/// The one in the path.
async fn there<S: Rooms>(call: &Call<S>) -> Result<Template, Fault> {
    let name = path(call, "template");
    let template = if is_name(name) { call.house.template(name.to_owned()).await? } else { None };
    template.ok_or_else(|| Fault::NoTemplate(name.to_owned()))
}

/// A field that is wrong makes the template wrong; one that is missing is told as everywhere.
fn of_template(fault: Fault) -> Fault {
    match fault {
        Fault::Field(field, expected) => Fault::TemplateField(whole(field), expected),
        other => other,
    }
}

/// The whole name of a field.
fn whole(field: &'static str) -> &'static str {
    match field {
        "memory" => "default_resources.memory",
        "cpu" => "default_resources.cpu",
        "storage" => "default_resources.storage",
        "enabled" => "vnc.enabled",
        "port" => "vnc.port",
        "resolution" => "vnc.resolution",
        "color_depth" => "vnc.color_depth",
        outer => outer,
    }
}

fn read(mut fields: Fields, name: String, id: Uuid, now: UnixMicros) -> Result<Template, Fault> {
    let base_image = fields.needed("base_image")?;
    let or = |text: Option<String>, default: &str| text.unwrap_or_else(|| default.to_owned());
    let template = Template {
        id,
        display_name: or(fields.text("display_name")?, &name),
        name,
        category: or(fields.text("category")?, Template::CATEGORY),
        description: fields.text("description")?.unwrap_or_default(),
        base_image,
        default_resources: resources(fields.object("default_resources")?)?,
        vnc: vnc(fields.object("vnc")?)?,
        environment: fields.object("environment")?.rest("environment")?.collect(),
        persistent_home: fields.flag("persistent_home")?.unwrap_or(true),
        idle_timeout: or(fields.text("idle_timeout")?, Template::IDLE_TIMEOUT),
        tags: fields.texts("tags")?.unwrap_or_default(),
        icon_url: fields.text("icon_url")?,
        created_at: now,
        updated_at: now,
    };
    match template_flaw(&template) {
        None => Ok(template),
        Some((field, expected)) => Err(Fault::TemplateField(field, expected)),
    }
}

fn resources(mut fields: Fields) -> Result<Resources, Fault> {
    let default = Resources::default();
    Ok(Resources {
        memory: fields.text("memory")?.unwrap_or(default.memory),
        cpu: fields.text("cpu")?.unwrap_or(default.cpu),
        storage: fields.text("storage")?,
    })
}

fn vnc(mut fields: Fields) -> Result<Vnc, Fault> {
    let default = Vnc::default();
    let port = fields.number("port", u16::MAX)?.unwrap_or(default.port);
    let color_depth = fields.number("color_depth", 32)?;
    Ok(Vnc {
        enabled: fields.flag("enabled")?.unwrap_or(default.enabled),
        port,
        resolution: fields.text("resolution")?,
        color_depth: color_depth.and_then(|depth| u8::try_from(depth).ok()),
    })
}
