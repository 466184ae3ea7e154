//! Templates: listed, shown; made, replaced and removed by admins.

use super::{
    Rooms,
    auth::keep,
    caller::{admin, caller, path},
    fault::Fault,
    fields::Fields,
    given::{self, has_chars, is_name},
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
use std::collections::BTreeMap;
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

/// Takes a text of at most so many characters.
fn words(fields: &mut Fields, name: &'static str, most: usize) -> Result<Option<String>, Fault> {
    fields.checked(name, |text| has_chars(text, 0, most), "The text is too long")
}

fn read(mut fields: Fields, name: String, id: Uuid, now: UnixMicros) -> Result<Template, Fault> {
    if !is_name(&name) {
        return Err(Fault::Field("name", given::NAME));
    }
    let base_image = fields.needed("base_image")?;
    if !has_chars(&base_image, 1, 500) || base_image.chars().any(|letter| letter.is_whitespace() || letter.is_control()) {
        return Err(Fault::Field("base_image", "Expected 1 to 500 characters without spaces"));
    }
    let tags = fields.texts("tags")?.unwrap_or_default();
    if !given::are_tags(&tags) {
        return Err(Fault::Field("tags", given::TAGS));
    }
    Ok(Template {
        id,
        display_name: words(&mut fields, "display_name", 200)?.unwrap_or_else(|| name.clone()),
        name,
        category: words(&mut fields, "category", 100)?.unwrap_or_else(|| "Other".to_owned()),
        description: words(&mut fields, "description", 4000)?.unwrap_or_default(),
        base_image,
        default_resources: resources(fields.object("default_resources")?)?,
        vnc: vnc(fields.object("vnc")?)?,
        environment: environment(fields.object("environment")?)?,
        persistent_home: fields.flag("persistent_home")?.unwrap_or(true),
        idle_timeout: fields.checked("idle_timeout", given::is_idle, given::IDLE)?.unwrap_or_else(|| "30m".to_owned()),
        tags,
        icon_url: words(&mut fields, "icon_url", 2000)?,
        created_at: now,
        updated_at: now,
    })
}

fn resources(mut fields: Fields) -> Result<Resources, Fault> {
    Ok(Resources {
        memory: fields.checked("memory", given::is_memory, given::MEMORY)?.unwrap_or_else(|| "2Gi".to_owned()),
        cpu: fields.checked("cpu", given::is_cpu, given::CPU)?.unwrap_or_else(|| "1000m".to_owned()),
        storage: fields.checked("storage", given::is_memory, given::MEMORY)?,
    })
}

fn vnc(mut fields: Fields) -> Result<Vnc, Fault> {
    let port = fields.number("port", u16::MAX)?.unwrap_or(5900);
    let color_depth = fields.number("color_depth", 32)?;
    if port == 0 {
        return Err(Fault::Field("port", "Expected a port from 1 to 65535"));
    }
    let is_resolution = |text: &str| {
        let side = |text: &str| text.parse::<u16>().is_ok_and(|side| (1..=16_384).contains(&side));
        text.split_once('x').is_some_and(|(width, height)| side(width) && side(height))
    };
    Ok(Vnc {
        enabled: fields.flag("enabled")?.unwrap_or(true),
        port,
        resolution: fields.checked("resolution", is_resolution, "Expected a size such as 1920x1080")?,
        color_depth: color_depth.and_then(|depth| u8::try_from(depth).ok()),
    })
}

fn environment(fields: Fields) -> Result<BTreeMap<String, String>, Fault> {
    const EXPECTED: &str = "Expected at most 100 names without = and texts of at most 4000 characters";
    let environment: BTreeMap<String, String> = fields.rest("environment")?.collect();
    let is_plain = |text: &str, least, most| has_chars(text, least, most) && !text.contains('\0');
    let suits = |(name, value): (&String, &String)| is_plain(name, 1, 200) && !name.contains('=') && is_plain(value, 0, 4000);
    if environment.len() > 100 || !environment.iter().all(suits) {
        return Err(Fault::Field("environment", EXPECTED));
    }
    Ok(environment)
}
