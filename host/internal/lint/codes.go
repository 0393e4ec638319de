package lint

import "github.com/outrigger-gateway/outrigger/host/internal/plan"

// Code is one kind of finding.
type Code struct {
	Code     string
	Severity Severity
	Title    string // what it finds, for the guide
	Why      string // why it matters
	Fix      string // what to do
}

// Codes of findings; those of package plan are codes too.
const (
	CodeRouteUnreachable    = "route_unreachable"
	CodePathUnreachable     = "path_unreachable"
	CodeRouteTie            = "route_tie"
	CodeDuplicateHost       = "duplicate_host"
	CodeDuplicatePath       = "duplicate_path"
	CodePathLikeRegex       = "path_like_regex"
	CodeNeverTrue           = "never_true"
	CodeProtocolsNoMatch    = "route_http_only"
	CodePathHandlingIdle    = "path_handling_idle"
	CodeRouteWithoutService = "route_without_service"
	CodeServiceUnused       = "service_without_routes"
	CodeMissingUpstream     = "missing_upstream"
	CodeUpstreamEmpty       = "upstream_without_targets"
	CodeUpstreamNoWayBack   = "health_without_way_back"
	CodeRetriesUnbounded    = "retries_without_budget"
	CodeNoCredentials       = "consumer_without_credentials"
	CodeMissingConsumer     = "missing_consumer"
	CodeRecordShadowed      = "record_shadowed"
	CodeScopeEmpty          = "scope_without_requests"
	CodeFailOpen            = "authentication_fails_open"
	CodePlainSecret         = "plain_secret"
	CodeUnreadReference     = "unread_reference"
)

// Codes lists all kinds of findings, in the order of the guide.
func Codes() []Code {
	return []Code{
		{
			CodeRouteUnreachable, Error, "a route whose every request is taken by routes that sort before it",
			"No request ever reaches the route, so neither its service nor its plugins are used.",
			"remove the route, or give it a larger priority, or an attribute that the others lack: a longer path, a host, a method, a header",
		},
		{
			CodePathUnreachable, Error, "a path of a route whose every request is taken by routes that sort before it",
			"Requests for this path never reach the route, although it asks for them.",
			"remove the path from one of the routes",
		},
		{
			CodeRouteTie, Warning, "two routes of equal priority that match the same request",
			"Nothing in the routes says which of them is meant: age decides, and then the id, which was made from names if the file has none.",
			"give one of them a larger priority, or make it more specific: a longer path, a host, a method, a header",
		},
		{
			CodeDuplicateHost, Warning, "a host that a route has twice; letters count the same in upper and lower case",
			"The second one does nothing; another host was meant, or it was forgotten here.",
			"remove it",
		},
		{
			CodeDuplicatePath, Warning, "a path that a route has twice",
			"The second one does nothing; another path was meant, or it was forgotten here.",
			"remove it",
		},
		{
			CodePathLikeRegex, Warning, "a literal path that looks like a regular expression, a template or a glob",
			"Only a path that begins with ~ is a regular expression, as in Kong since 3.0; this one takes requests that have these very characters in their path.",
			"write ~ before it; write /c/{id} as ~/c/(?<id>[^/]+) and leave out a * at the end, as a literal path takes all that begins so",
		},
		{
			CodeNeverTrue, Warning, "a literal path with a query, or a comparison in an expression that no request makes true, such as that of a host with capital letters",
			"The gateway never has such a value there, so this part of the route takes no request.",
			"compare with a value as the gateway has it: see docs/guides/routing.md",
		},
		{
			CodeProtocolsNoMatch, Warning, "a route for `http` alone",
			"As in Kong, protocols are no condition of the match: the route answers requests over TLS too.",
			"write protocols: [http, https], which is what happens, or [https] to refuse plain requests; or turn strict_protocols on",
		},
		{
			CodePathHandlingIdle, Warning, "a route with `path_handling: v1` in another flavour of the router than `traditional`",
			"As in Kong, it does nothing there: one slash stands between the path of the service and what follows it, as with v0.",
			"remove path_handling; or set router_flavor: traditional, in which other rules say which route wins",
		},
		{
			CodeRouteWithoutService, Error, "a route without a service, on which no plugin can answer",
			"Every request that gets past the plugins is answered 503.",
			"give the route a service, or a plugin that answers, such as request-termination or redirect",
		},
		{
			CodeServiceUnused, Warning, "an enabled service without routes",
			"No request reaches it.",
			"add a route, or remove the service",
		},
		{
			CodeMissingUpstream, Warning, "a service whose host is almost the name of an upstream, and no domain",
			"The host is looked up in the DNS instead of being balanced over the targets.",
			"write the name of the upstream",
		},
		{
			CodeUpstreamEmpty, Error, "a service whose upstream has no target with a weight",
			"Every request for it is answered 503.",
			"add a target, or a weight above 0",
		},
		{
			CodeUpstreamNoWayBack, Warning, "health checks that take targets away, without active ones that find them healthy again",
			"A target that failed gets no request any more, until somebody makes it healthy by hand or the gateway starts anew.",
			"set interval below active.unhealthy and successes below active.healthy, or use outlier_detection",
		},
		{
			CodeRetriesUnbounded, Warning, "an upstream whose `retry_on` sends requests again without a `retry_budget` that bounds them",
			"When the whole upstream is overloaded and says so, every request is sent as often as the service may: the load grows just then.",
			"add retry_budget: {}, which allows a fifth of the requests in flight a further try, and always three; or lower retries of the service",
		},
		{
			CodeNoCredentials, Warning, "a consumer without a credential for any of the plugins that authenticate",
			"Nobody can be this consumer, so records for it never apply.",
			"give the consumer a credential, or remove it",
		},
		{
			CodeMissingConsumer, Error, "an `anonymous` consumer that does not exist",
			"Requests without a credential are answered 500 instead of being let through.",
			"add the consumer, or correct the name",
		},
		{
			plan.WarnDangling, Error, "an ordering rule that names a plugin which no enabled record has",
			"The rule does nothing; the plugin was removed, or its name is misspelt.",
			"correct the name, or remove the rule; strict_ordering makes it an error at load",
		},
		{
			plan.WarnNeverActive, Warning, "an ordering rule between plugins that never run together, or not in that phase",
			"The rule does nothing.",
			"remove the rule, or give it the phase and the scope in which both run",
		},
		{
			plan.WarnBeforeAuth, Error, "a plugin that asks who the consumer is and runs before every plugin that says so",
			"It decides without knowing the consumer: it refuses everybody, or treats all alike.",
			"remove the rule or the priority that brings it there, or order an authenticating plugin before it",
		},
		{
			plan.WarnConsumerEarly, Error, "a record for a consumer or a group, of a plugin that is chosen before the consumer is known",
			"The record never applies: the plugin runs with a less specific one.",
			"order the plugin after authentication, or bind the record to a route or a service",
		},
		{
			plan.WarnFallsThrough, Warning, "a record that is not enabled, under which a less specific one runs",
			"The plugin still runs in that scope, with the other configuration.",
			"write mode: disable instead of enabled: false to switch the plugin off there",
		},
		{
			plan.WarnProtocols, Error, "a record whose protocols no request has",
			"The plugin never runs by this record.",
			"add a protocol of its route or service, or leave protocols out",
		},
		{
			CodeRecordShadowed, Error, "a record that loses to a more specific one wherever it could apply",
			"Its configuration is never used.",
			"remove it, or remove what is more specific; inherit: true on the other record merges both",
		},
		{
			CodeScopeEmpty, Error, "a record for a route and a service to which the route does not belong",
			"No request is of both, so the record never applies.",
			"remove the service or the route from the record",
		},
		{
			CodeFailOpen, Warning, "`fail_mode: open` on a plugin that authenticates",
			"When the plugin fails or is away, everybody gets in, as nobody.",
			"write fail_mode: closed",
		},
		{
			CodePlainSecret, Warning, "a secret written into a field that may hold a reference to it",
			"Whoever reads the file, or a copy of it, has the secret.",
			"put the secret into a vault and write a reference, such as {vault://env/my-secret}",
		},
		{
			CodeUnreadReference, Warning, "a reference to a secret in a field that may not hold one, or among other text",
			"The plugin gets the text as it is written, unless it asks the vault for it by itself.",
			"write the value, or ${{ env \"NAME\" }}; the author of the plugin can mark the field as x-referenceable",
		},
	}
}
