//! The site profile: what is the same for every truck of a depot.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{GroupName, Network, PolicyName, Settings, ThingTypeName, Thresholds, calibration::Tolerances};

/// The site profile, `site.toml`. Every key has a default but `region`; overrides of the cloud's addresses are for private
/// deployments, stand-ins and the sandbox.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Site {
    /// AWS region, such as `eu-central-1`; empty takes it from the environment or the AWS profile.
    pub region: String,
    /// Named profile of the AWS configuration; empty takes the environment's.
    pub aws_profile: String,
    /// URL that replaces AWS's own for every service.
    pub aws_endpoint_url: Option<String>,
    /// Host of the MQTT broker instead of the account's.
    pub iot_endpoint: Option<String>,
    /// TCP port of the MQTT broker instead of 8883. On 443 boards and tool name the protocol that AWS IoT Core wants there.
    pub iot_port: Option<u16>,
    /// File with the CA of the broker's certificate, instead of Amazon's roots.
    pub ca_file: Option<std::path::PathBuf>,
    /// Thing type of the boards.
    pub thing_type: ThingTypeName,
    /// Attributes of every thing, besides those of the truck and the job.
    pub attributes: BTreeMap<String, String>,
    /// Thing group.
    pub thing_group: GroupName,
    /// Name of the policy.
    pub policy: PolicyName,
    /// File with the policy's document instead of the one shipped.
    pub policy_file: Option<std::path::PathBuf>,
    /// Topic of the readings; `{thing}` stands for the thing's name.
    pub readings_topic: String,
    /// Name of a thing when none is given; `{truck}` stands for the truck's id.
    pub thing_name: String,
    /// Seconds between two readings.
    pub interval_secs: u16,
    /// Nominal supply: `12v` or `24v`; sets the default thresholds and the attribute `powerRequirements`.
    pub power: Power,
    /// Thresholds instead of the defaults.
    pub thresholds: Option<Thresholds>,
    /// How boards reach the broker.
    pub network: SiteNetwork,
    /// Folder or manifest of the firmware instead of the one shipped.
    pub firmware: Option<std::path::PathBuf>,
    /// File with the public key (PEM) of who signed that firmware, besides the one shipped.
    pub firmware_key: Option<std::path::PathBuf>,
    /// What calibrations are held to.
    pub tolerances: Tolerances,
    /// How many readings must agree before a board is proven.
    pub prove_samples: u32,
}

/// Nominal supply voltage of the trucks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Power {
    /// 12 V.
    #[serde(rename = "12v")]
    Volts12,
    /// 24 V.
    #[serde(rename = "24v")]
    Volts24,
}

impl Power {
    /// As the thing's attribute says it.
    pub fn as_str(self) -> &'static str {
        match self {
            Power::Volts12 => "12v",
            Power::Volts24 => "24v",
        }
    }
}

/// Network of the boards, as the profile writes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub struct SiteNetwork {
    /// Name of the Wi-Fi network; empty for boards without a network.
    pub ssid: String,
    /// Its passphrase.
    pub passphrase: String,
}

impl Default for Site {
    fn default() -> Self {
        // The literals below are names that the checks accept; `fixed` says so in one place.
        fn fixed<T: std::str::FromStr<Err = super::Problem>>(text: &str) -> T {
            match text.parse() {
                Ok(name) => name,
                Err(problem) => unreachable!("a built-in name is refused: {problem}"),
            }
        }
        Site {
            region: String::new(),
            aws_profile: String::new(),
            aws_endpoint_url: None,
            iot_endpoint: None,
            iot_port: None,
            ca_file: None,
            thing_type: fixed("sensor_DoorAndPower"),
            attributes: BTreeMap::new(),
            thing_group: fixed("refrigeratedTrucks"),
            policy: fixed("coldbench-truck-sensor"),
            policy_file: None,
            readings_topic: "dt/coldchain/{thing}/readings".to_owned(),
            thing_name: "truckSensor-{truck}".to_owned(),
            interval_secs: 5,
            power: Power::Volts12,
            thresholds: None,
            network: SiteNetwork::default(),
            firmware: None,
            firmware_key: None,
            tolerances: Tolerances::default(),
            prove_samples: 3,
        }
    }
}

impl Site {
    /// Reads a profile. Paths in it are taken as written; see `adapters::files` for those relative to the file.
    ///
    /// # Errors
    /// `site.invalid` with line, column and reason; an unknown key comes with the nearest known one.
    pub fn parse(text: &str) -> Result<Self, super::Problem> {
        let site: Site = super::toml_file::parse(text, "The site profile", "site.invalid")?;
        site.checked()
    }

    /// Holds what types cannot: bounds of numbers, placeholders of templates, limits of AWS IoT.
    fn checked(self) -> Result<Self, super::Problem> {
        let refuse = |what: String, advice: &str| Err(super::Problem::new("site.invalid", what, advice));
        if !(1..=3600).contains(&self.interval_secs) {
            let what = format!("The site profile has interval_secs = {}, outside 1 to 3600", self.interval_secs);
            return refuse(what, "Write 5 for the usual interval");
        }
        if !self.readings_topic.contains("{thing}") {
            return refuse(
                "The site profile's readings_topic has no {thing}".into(),
                "Each board needs a topic of its own",
            );
        }
        if self.readings_topic.matches('/').count() > 6 || self.readings_topic.starts_with('$') {
            return refuse(
                "The site profile's readings_topic is not one AWS IoT takes".into(),
                "Use at most 6 slashes, as the last will adds one, and no $ at the start",
            );
        }
        if !self.thing_name.contains("{truck}") {
            return refuse(
                "The site profile's thing_name has no {truck}".into(),
                "Each truck needs a thing of its own",
            );
        }
        if !(1..=100).contains(&self.prove_samples) {
            let what = format!("The site profile has prove_samples = {}, outside 1 to 100", self.prove_samples);
            return refuse(what, "Write 3 for the usual proof");
        }
        for (name, value) in &self.attributes {
            let is_name = !name.is_empty()
                && name.len() <= 128
                && name.chars().all(|c| c.is_ascii_alphanumeric() || "_.,@/:#-".contains(c));
            let is_value =
                value.len() <= 800 && value.chars().all(|c| c.is_ascii_alphanumeric() || "_.,@/:#-".contains(c));
            if !is_name || !is_value {
                let what = format!("The site profile's attribute {name:?} has a name or value that AWS IoT refuses");
                return refuse(what, "Use letters, digits and _ . , @ / : # -, without spaces");
            }
        }
        Ok(self)
    }

    /// The thing's name for a truck.
    ///
    /// # Errors
    /// `input.thing` when the truck's id has characters a thing name cannot hold.
    pub fn thing_for(&self, truck: &super::TruckId) -> Result<super::ThingName, super::Problem> {
        self.thing_name.replace("{truck}", truck.as_str()).parse()
    }

    /// The topic of a thing's readings.
    pub fn topic_for(&self, thing: &super::ThingName) -> String {
        self.readings_topic.replace("{thing}", thing.as_str())
    }

    /// What every board of the site is set to.
    pub fn settings(&self) -> Settings {
        let usual = match self.power {
            Power::Volts12 => Thresholds::default(),
            Power::Volts24 => Thresholds::for_24_volts(),
        };
        Settings { interval_secs: self.interval_secs, thresholds: self.thresholds.unwrap_or(usual) }
    }

    /// How boards reach the broker.
    pub fn board_network(&self) -> Network {
        match self.network.ssid.as_str() {
            "" => Network::None,
            ssid => Network::WiFi { ssid: ssid.to_owned(), passphrase: self.network.passphrase.clone() },
        }
    }
}
