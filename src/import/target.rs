//! What Glance gives each rule to look at, and what of it policies know.

use crate::authz::Action;

/// What a rule can look at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// An image.
    Image,
    /// An image that is to be made: its owner and visibility, nothing else.
    Created,
    /// An image when it is changed, and one that is to be made: the owner is known of both.
    Changed,
    /// An image by way of a membership.
    Member,
    /// A namespace of metadata definitions: its owner, called `project_id` only, and its visibility.
    Namespace,
    /// Nothing but the caller's own project.
    Project,
    /// An image that policies are not told.
    Hidden,
    /// Nothing at all.
    Empty,
    /// Nothing at all, for a rule that protects properties.
    Property,
}

impl Target {
    /// Of the rule that is named like this action.
    pub fn of(action: Action) -> Self {
        let name = action.as_str();
        match name {
            "add_image" => Self::Created,
            "publicize_image" | "communitize_image" => Self::Changed,
            "get_member" | "modify_member" => Self::Member,
            "get_images" | "get_metadef_namespaces" | "list_metadef_resource_types" | "add_metadef_namespace" => {
                Self::Project
            }
            "cache_image" | "cache_delete" => Self::Hidden,
            "stores_info_detail" | "manage_image_cache" | "list_cached_nodes" => Self::Empty,
            _ if name.contains("task") || name.starts_with("cache_") => Self::Empty,
            _ if name.contains("metadef") => Self::Namespace,
            _ => Self::Image,
        }
    }

    /// The expression whose attributes are the image's or the namespace's.
    pub(super) fn base(self) -> &'static str {
        if self == Self::Member { "resource.image" } else { "resource" }
    }

    /// What `%(name)s` is.
    ///
    /// # Errors
    /// When Glance knows it and policies do not.
    pub(super) fn attribute(self, name: &str) -> Result<Attribute, String> {
        match (self, name) {
            (Self::Image | Self::Member, _) => of_image(name),
            (Self::Created, "owner" | "project_id" | "visibility") => of_image(name),
            (Self::Changed, "owner" | "project_id") => of_image(name),
            (Self::Changed | Self::Hidden, _) => Err(format!("what `%({name})s` stands for is not always known")),
            (Self::Namespace, "project_id") => Ok(Attribute::Owner),
            (Self::Namespace, "visibility") => Ok(Attribute::Text("visibility")),
            (Self::Project, "project_id") => Ok(Attribute::Own),
            _ => Ok(Attribute::Missing),
        }
    }
}

/// What an attribute of the target is to Cedar.
pub(super) enum Attribute {
    /// A project that may be absent.
    Owner,
    /// The caller's project, when the image is shared with it.
    Member,
    /// The caller's own project.
    Own,
    Text(&'static str),
    MaybeText(&'static str),
    MaybeNumber(&'static str),
    Bool(&'static str),
    Id,
    /// A custom property.
    Tag(String),
    /// Glance does not know it either, and a check that speaks of it fails.
    Missing,
}

fn of_image(name: &str) -> Result<Attribute, String> {
    Ok(match name {
        "project_id" | "owner" => Attribute::Owner,
        "member_id" | "member" => Attribute::Member,
        "visibility" => Attribute::Text("visibility"),
        "status" => Attribute::Text("status"),
        "protected" => Attribute::Bool("protected"),
        "os_hidden" => Attribute::Bool("os_hidden"),
        "name" => Attribute::MaybeText("name"),
        "disk_format" => Attribute::MaybeText("disk_format"),
        "container_format" => Attribute::MaybeText("container_format"),
        "size" => Attribute::MaybeNumber("size"),
        "id" | "image_id" => Attribute::Id,
        "checksum" | "os_hash_algo" | "os_hash_value" | "virtual_size" | "min_disk" | "min_ram" | "created_at"
        | "updated_at" | "tags" | "extra_properties" | "locations" | "base" | "helper" => {
            return Err(format!("`%({name})s` is not known to the policies"));
        }
        property => Attribute::Tag(property.to_owned()),
    })
}
