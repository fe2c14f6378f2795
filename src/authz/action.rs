//! Names of what can be asked, as operators know them from Glance's policy rules, and ours beside them.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

macro_rules! actions {
    ($($variant:ident $name:literal $doc:literal;)*) => {
        /// An action of the Cedar schema. The names are those of Glance's policy rules where it has one.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(into = "&'static str", try_from = "String")]
        pub enum Action {
            $(#[doc = $doc] $variant,)*
            /// Background work of the service itself; never asked of the policies.
            System,
        }

        impl Action {
            /// Every action that policies can speak of.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The name in policies and in the decision log.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                    Self::System => "system",
                }
            }
        }

        impl Action {
            /// What it is, in one sentence.
            pub fn about(self) -> &'static str {
                match self {
                    $(Self::$variant => $doc,)*
                    Self::System => "Background work of the service itself.",
                }
            }
        }

        impl FromStr for Action {
            type Err = crate::image::UnknownWord;
            fn from_str(s: &str) -> Result<Self, Self::Err> {
                match s {
                    $($name => Ok(Self::$variant),)*
                    _ => Err(crate::image::UnknownWord(s.into())),
                }
            }
        }
    };
}

actions! {
    AddImage "add_image" "Create an image row.";
    GetImage "get_image" "See an image.";
    GetImages "get_images" "List images.";
    GetAllImages "get_all_images" "List the images of every project.";
    ModifyImage "modify_image" "Change attributes and tags.";
    DeleteImage "delete_image" "Delete an image.";
    PublicizeImage "publicize_image" "Make an image public.";
    CommunitizeImage "communitize_image" "Make an image a community image.";
    DownloadImage "download_image" "Read the data.";
    UploadImage "upload_image" "Write the data.";
    Deactivate "deactivate" "Take an image out of use.";
    Reactivate "reactivate" "Bring a deactivated image back.";
    AddMember "add_member" "Share an image.";
    GetMember "get_member" "See one membership.";
    GetMembers "get_members" "List the memberships of an image.";
    ModifyMember "modify_member" "Accept or reject a membership.";
    DeleteMember "delete_member" "Stop sharing.";
    GetImageLocation "get_image_location" "See where the data lies.";
    SetImageLocation "set_image_location" "Set locations by the old API.";
    DeleteImageLocation "delete_image_location" "Remove one copy.";
    AddImageLocation "add_image_location" "Add a location by the new API.";
    FetchImageLocation "fetch_image_location" "Read locations by the new API.";
    DownloadFromStore "download_from_store" "Ask for a certain copy.";
    CopyImage "copy_image" "Copy an image to further stores.";
    StoresInfoDetail "stores_info_detail" "See the details of the stores.";
    ManageImageCache "manage_image_cache" "Manage the cache.";
    GetMetadefNamespace "get_metadef_namespace" "See a namespace.";
    GetMetadefNamespaces "get_metadef_namespaces" "See namespaces.";
    ModifyMetadefNamespace "modify_metadef_namespace" "Change a namespace.";
    AddMetadefNamespace "add_metadef_namespace" "Add a namespace.";
    DeleteMetadefNamespace "delete_metadef_namespace" "Delete a namespace.";
    GetMetadefObject "get_metadef_object" "See an object of a namespace.";
    GetMetadefObjects "get_metadef_objects" "See the objects of a namespace.";
    ModifyMetadefObject "modify_metadef_object" "Change an object of a namespace.";
    AddMetadefObject "add_metadef_object" "Add an object of a namespace.";
    DeleteMetadefObject "delete_metadef_object" "Delete an object of a namespace.";
    ListMetadefResourceTypes "list_metadef_resource_types" "List resource types.";
    GetMetadefResourceType "get_metadef_resource_type" "See the resource types of a namespace.";
    AddMetadefResourceTypeAssociation "add_metadef_resource_type_association" "Add a resource type of a namespace.";
    RemoveMetadefResourceTypeAssociation "remove_metadef_resource_type_association" "Remove a resource type of a namespace.";
    GetMetadefProperty "get_metadef_property" "See a property of a namespace.";
    GetMetadefProperties "get_metadef_properties" "See the properties of a namespace.";
    ModifyMetadefProperty "modify_metadef_property" "Change a property of a namespace.";
    AddMetadefProperty "add_metadef_property" "Add a property of a namespace.";
    RemoveMetadefProperty "remove_metadef_property" "Remove a property of a namespace.";
    GetMetadefTag "get_metadef_tag" "See a tag of a namespace.";
    GetMetadefTags "get_metadef_tags" "See the tags of a namespace.";
    ModifyMetadefTag "modify_metadef_tag" "Change a tag of a namespace.";
    AddMetadefTag "add_metadef_tag" "Add a tag of a namespace.";
    AddMetadefTags "add_metadef_tags" "Add the tags of a namespace.";
    DeleteMetadefTag "delete_metadef_tag" "Delete a tag of a namespace.";
    DeleteMetadefTags "delete_metadef_tags" "Delete the tags of a namespace.";
    GetTask "get_task" "See a task.";
    GetTasks "get_tasks" "List tasks.";
    AddTask "add_task" "Start a task.";
    ModifyTask "modify_task" "Change a task.";
    TasksApiAccess "tasks_api_access" "Use the tasks API.";
    CacheImage "cache_image" "Queue an image for the cache.";
    CacheList "cache_list" "List the cache.";
    CacheDelete "cache_delete" "Drop images from the cache.";
    CacheClean "cache_clean" "Clean the cache.";
    CachePrune "cache_prune" "Prune the cache.";
    ListCachedNodes "list_cached_nodes" "See which nodes hold an image in their cache.";
    PlaceImage "place_image" "Put an image into a store.";
    ReadStore "read_store" "Read data from a store.";
    SeeStore "see_store" "Know of a store.";
    ReadProperty "read_property" "See a custom property.";
    CreateProperty "create_property" "Add a custom property.";
    UpdateProperty "update_property" "Change a custom property.";
    DeleteProperty "delete_property" "Remove a custom property.";
    ChangeOwner "change_owner" "Give an image to another project.";
    ExplainDecision "explain_decision" "See why an answer was given, and the facts it was given on.";
}

impl Action {
    /// Whether the action changes something: what is permitted then is worth a line in the log.
    pub fn changes(self) -> bool {
        use Action::{
            AddImage, AddImageLocation, AddMember, ChangeOwner, CommunitizeImage, CopyImage, Deactivate, DeleteImage,
            DeleteImageLocation, DeleteMember, ModifyImage, ModifyMember, PublicizeImage, Reactivate, SetImageLocation,
            UploadImage,
        };
        matches!(
            self,
            AddImage
                | ModifyImage
                | DeleteImage
                | PublicizeImage
                | CommunitizeImage
                | UploadImage
                | Deactivate
                | Reactivate
                | AddMember
                | ModifyMember
                | DeleteMember
                | SetImageLocation
                | DeleteImageLocation
                | AddImageLocation
                | CopyImage
                | ChangeOwner
        )
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl From<Action> for &'static str {
    fn from(action: Action) -> Self {
        action.as_str()
    }
}

impl TryFrom<String> for Action {
    type Error = crate::image::UnknownWord;
    fn try_from(name: String) -> Result<Self, Self::Error> {
        name.parse()
    }
}
