//! AWS's paths: which operation a request is.

/// Finds the operation and the name in its path. Segments are decoded; the leading slash is gone.
pub(super) fn route(method: &str, path: &[String]) -> Option<(&'static str, String)> {
    let segments: Vec<&str> = path.iter().map(String::as_str).collect();
    let (operation, name) = match (method, segments.as_slice()) {
        ("POST", ["things", name]) => ("CreateThing", *name),
        ("GET", ["things", name]) => ("DescribeThing", *name),
        ("PATCH", ["things", name]) => ("UpdateThing", *name),
        ("DELETE", ["things", name]) => ("DeleteThing", *name),
        ("GET", ["things"]) => ("ListThings", ""),
        ("GET", ["things", name, "thing-groups"]) => ("ListThingGroupsForThing", *name),
        ("PUT", ["things", name, "principals"]) => ("AttachThingPrincipal", *name),
        ("DELETE", ["things", name, "principals"]) => ("DetachThingPrincipal", *name),
        ("GET", ["things", name, "principals"]) => ("ListThingPrincipals", *name),
        ("GET", ["principals", "things"]) => ("ListPrincipalThings", ""),
        ("GET", ["things", name, "shadow"]) => ("GetThingShadow", *name),
        ("POST", ["things", name, "shadow"]) => ("UpdateThingShadow", *name),
        ("DELETE", ["things", name, "shadow"]) => ("DeleteThingShadow", *name),
        ("POST", ["thing-types", name]) => ("CreateThingType", *name),
        ("GET", ["thing-types", name]) => ("DescribeThingType", *name),
        ("POST", ["thing-types", name, "deprecate"]) => ("DeprecateThingType", *name),
        ("DELETE", ["thing-types", name]) => ("DeleteThingType", *name),
        ("PUT", ["thing-groups", "addThingToThingGroup"]) => ("AddThingToThingGroup", ""),
        ("PUT", ["thing-groups", "removeThingFromThingGroup"]) => ("RemoveThingFromThingGroup", ""),
        ("POST", ["thing-groups", name]) => ("CreateThingGroup", *name),
        ("GET", ["thing-groups", name]) => ("DescribeThingGroup", *name),
        ("DELETE", ["thing-groups", name]) => ("DeleteThingGroup", *name),
        ("POST", ["certificates"]) => ("CreateCertificateFromCsr", ""),
        ("GET", ["certificates"]) => ("ListCertificates", ""),
        ("GET", ["certificates", id]) => ("DescribeCertificate", *id),
        ("PUT", ["certificates", id]) => ("UpdateCertificate", *id),
        ("DELETE", ["certificates", id]) => ("DeleteCertificate", *id),
        ("POST", ["policies", name]) => ("CreatePolicy", *name),
        ("GET", ["policies", name]) => ("GetPolicy", *name),
        ("DELETE", ["policies", name]) => ("DeletePolicy", *name),
        ("PUT", ["target-policies", name]) => ("AttachPolicy", *name),
        ("POST", ["target-policies", name]) => ("DetachPolicy", *name),
        ("POST", ["attached-policies", target]) => ("ListAttachedPolicies", *target),
        ("POST", ["policy-targets", name]) => ("ListTargetsForPolicy", *name),
        ("GET", ["endpoint"]) => ("DescribeEndpoint", ""),
        ("POST", ["tags"]) => ("TagResource", ""),
        ("GET", ["tags"]) => ("ListTagsForResource", ""),
        ("POST", ["untag"]) => ("UntagResource", ""),
        // The query protocol of STS names the operation in the body.
        ("POST", [""]) => ("GetCallerIdentity", ""),
        _ => return None,
    };
    Some((operation, name.to_owned()))
}
