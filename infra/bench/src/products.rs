//! What products are called and made of.

/// A category and what is sold in it.
#[derive(Debug)]
pub(crate) struct Category {
    pub(crate) name: &'static str,
    pub(crate) nouns: [&'static str; 5],
}

const fn category(name: &'static str, nouns: [&'static str; 5]) -> Category {
    Category { name, nouns }
}

pub(crate) const CATEGORIES: [Category; 20] = [
    category(
        "Fasteners",
        [
            "hex bolt",
            "socket screw",
            "wing nut",
            "flat washer",
            "stud",
        ],
    ),
    category(
        "Bearings",
        [
            "ball bearing",
            "roller bearing",
            "linear bearing",
            "bushing",
            "thrust bearing",
        ],
    ),
    category(
        "Seals",
        ["shaft seal", "o-ring", "gasket", "lip seal", "wiper"],
    ),
    category(
        "Hoses",
        [
            "air hose",
            "suction hose",
            "braided hose",
            "spiral hose",
            "hose clamp",
        ],
    ),
    category(
        "Valves",
        [
            "ball valve",
            "gate valve",
            "check valve",
            "needle valve",
            "solenoid valve",
        ],
    ),
    category(
        "Pumps",
        [
            "gear pump",
            "vane pump",
            "sump pump",
            "diaphragm pump",
            "dosing pump",
        ],
    ),
    category(
        "Motors",
        [
            "stepper motor",
            "servo motor",
            "gear motor",
            "spindle motor",
            "fan motor",
        ],
    ),
    category(
        "Sensors",
        [
            "proximity sensor",
            "level sensor",
            "flow sensor",
            "light barrier",
            "encoder",
        ],
    ),
    category(
        "Cables",
        [
            "control cable",
            "ribbon cable",
            "drag cable",
            "patch cable",
            "ground wire",
        ],
    ),
    category(
        "Connectors",
        [
            "plug connector",
            "cable gland",
            "terminal block",
            "crimp lug",
            "pin header",
        ],
    ),
    category(
        "Switches",
        [
            "limit switch",
            "toggle switch",
            "push button",
            "rotary switch",
            "foot switch",
        ],
    ),
    category(
        "Relays",
        [
            "power relay",
            "timer relay",
            "reed relay",
            "relay socket",
            "contactor",
        ],
    ),
    category(
        "Pipes",
        ["pipe elbow", "pipe tee", "reducer", "nipple", "union"],
    ),
    category(
        "Couplings",
        [
            "jaw coupling",
            "disc coupling",
            "sleeve coupling",
            "clutch",
            "hub",
        ],
    ),
    category(
        "Springs",
        [
            "coil spring",
            "gas spring",
            "leaf spring",
            "disc spring",
            "torsion spring",
        ],
    ),
    category(
        "Gears",
        [
            "spur gear",
            "bevel gear",
            "worm gear",
            "gear rack",
            "pinion",
        ],
    ),
    category(
        "Chains",
        [
            "roller chain",
            "link chain",
            "sprocket",
            "chain tensioner",
            "shackle",
        ],
    ),
    category(
        "Tools",
        ["drill bit", "end mill", "reamer", "wrench", "file set"],
    ),
    category(
        "Adhesives",
        [
            "epoxy glue",
            "thread locker",
            "sealant tape",
            "contact glue",
            "filler",
        ],
    ),
    category(
        "Filters",
        [
            "air filter",
            "oil filter",
            "mesh strainer",
            "filter bag",
            "cartridge",
        ],
    ),
];

/// A material: as a word of the name, in full, and in a part number.
#[derive(Debug)]
pub(crate) struct Material {
    pub(crate) word: &'static str,
    pub(crate) name: &'static str,
    pub(crate) code: &'static str,
}

const fn material(word: &'static str, name: &'static str, code: &'static str) -> Material {
    Material { word, name, code }
}

pub(crate) const MATERIALS: [Material; 15] = [
    material("Stainless", "stainless steel", "SS"),
    material("Carbon", "carbon steel", "CS"),
    material("Brass", "brass", "BR"),
    material("Copper", "copper", "CU"),
    material("Aluminium", "aluminium", "AL"),
    material("Titanium", "titanium", "TI"),
    material("Bronze", "bronze", "BZ"),
    material("Nylon", "nylon", "NY"),
    material("PTFE", "PTFE", "PT"),
    material("PEEK", "PEEK", "PK"),
    material("Rubber", "nitrile rubber", "NB"),
    material("Silicone", "silicone", "SI"),
    material("Ceramic", "ceramic", "CE"),
    material("Acetal", "acetal", "AC"),
    material("Zinc", "zinc alloy", "ZN"),
];

pub(crate) const MODIFIERS: [&str; 12] = [
    "hardened",
    "slotted",
    "flanged",
    "miniature",
    "double",
    "captive",
    "long",
    "short",
    "reinforced",
    "angled",
    "conical",
    "self-locking",
];

pub(crate) const GRADES: [&str; 8] = ["A2", "A4", "B7", "C3", "G5", "H7", "K9", "P6"];

pub(crate) const DIAMETERS: [u64; 10] = [3, 4, 5, 6, 8, 10, 12, 16, 20, 24];

pub(crate) const SERIES: [&str; 6] = ["basic", "pro", "plus", "max", "eco", "prime"];

/// First halves of 200 brands.
pub(crate) const BRAND_STARTS: [&str; 20] = [
    "Alvo", "Brenk", "Cordi", "Dalto", "Estra", "Fenno", "Gritz", "Halvor", "Istar", "Jorda",
    "Kelvo", "Lundi", "Mansa", "Nordo", "Oxal", "Pravo", "Quando", "Rhena", "Solvi", "Tarko",
];

/// Second halves.
pub(crate) const BRAND_ENDS: [&str; 10] = [
    "tec", "werk", "flex", "dyne", "matic", "form", "line", "parts", "gruppe", "trade",
];

pub(crate) const STANDARDS: [&str; 24] = [
    "ISO 4017",
    "ISO 4014",
    "ISO 4762",
    "ISO 7089",
    "ISO 10642",
    "ISO 15",
    "ISO 6020",
    "ISO 228",
    "DIN 933",
    "DIN 912",
    "DIN 125",
    "DIN 985",
    "DIN 471",
    "DIN 3760",
    "DIN 8187",
    "DIN 2093",
    "EN 837",
    "EN 10226",
    "EN 853",
    "EN 60947",
    "ASME B16",
    "ASTM A193",
    "JIS B1180",
    "IEC 60034",
];

pub(crate) const COLORS: [&str; 12] = [
    "black", "white", "grey", "silver", "red", "blue", "green", "yellow", "orange", "violet",
    "brown", "natural",
];

pub(crate) const TAGS: [&str; 30] = [
    "metric",
    "imperial",
    "bulk",
    "rohs",
    "reach",
    "clearance",
    "bestseller",
    "novelty",
    "oem",
    "retrofit",
    "spare",
    "kit",
    "sample",
    "export",
    "stocked",
    "wholesale",
    "premium",
    "budget",
    "cleanroom",
    "food",
    "mining",
    "rail",
    "aerospace",
    "medical",
    "solar",
    "wind",
    "robotics",
    "packaging",
    "printing",
    "textile",
];
