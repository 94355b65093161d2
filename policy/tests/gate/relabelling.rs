//! Changes of what selectors see: template labels, Namespace labels, Services, container ports.
