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
    PlaceImage "place_image" "Put an image into a store.";
    ReadStore "read_store" "Read data from a store.";
    SeeStore "see_store" "Know of a store.";
    ReadProperty "read_property" "See a custom property.";
    CreateProperty "create_property" "Add a custom property.";
    UpdateProperty "update_property" "Change a custom property.";
    DeleteProperty "delete_property" "Remove a custom property.";
    ChangeOwner "change_owner" "Give an image to another project.";
    ReloadRules "reload_rules" "Load policies and plug-ins anew.";
    ExplainDecision "explain_decision" "See why an answer was given, and the facts it was given on.";
    GetRules "get_rules" "See what rules are active.";
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
