package host

import (
	"context"

	"github.com/outrigger-gateway/outrigger/host/internal/condition"
	"github.com/outrigger-gateway/outrigger/host/internal/generation"
	"github.com/outrigger-gateway/outrigger/host/internal/plan"
	"github.com/outrigger-gateway/outrigger/host/internal/router"
	"github.com/outrigger-gateway/outrigger/host/internal/telemetry"
)

// newBuilder makes the builder of generations as the settings want their plans.
func (h *Host) newBuilder() (*generation.Builder, error) {
	b, err := generation.NewBuilder(h.opts.Plugins, nil)
	if err != nil {
		return nil, err
	}
	s := h.settings
	b.Plan = plan.Options{
		Algorithm: s.PluginOrderingAlgorithm, Mode: s.OrderingMode, Late: s.LatePlugins, Protocols: s.PluginProtocols == "enforce",
		Strict: s.StrictOrdering, Report: h.contradiction,
	}
	b.Router = router.Options{
		Flavor: router.Flavor(s.RouterFlavor), TieBreak: router.TieBreak(s.RouterTieBreak), StrictProtocols: s.StrictProtocols,
	}
	b.Condition = func(text string) (plan.Condition, error) {
		p, err := condition.Compile(text)
		if err != nil {
			return nil, err
		}
		return p, nil
	}
	return b, nil
}

// contradiction logs rules that go round only in what one request met: the records that were chosen before its consumer was known beside those behind,
// or those of groups that a plugin put together. That is not looked for when the configuration is read.
func (h *Host) contradiction(err error) {
	h.logger.Error("rules of ordering contradict each other in what a request met: its plugins run in the order of their priorities", "error", err.Error())
}

// mostWarnings are logged of one configuration; check and lint show all.
const mostWarnings = 100

// warn logs what is doubtful in the current generation.
func (h *Host) warn(ctx context.Context) {
	for _, w := range h.unknownPolicies() {
		h.logger.Warn(w)
	}
	set := h.generations.Current().Set
	for _, w := range setWarnings(set) {
		h.logger.Warn(w)
	}
	warnings := h.generations.Current().Plans.Warnings()
	for i, w := range warnings {
		if i == mostWarnings {
			h.logger.Log(ctx, telemetry.LevelNotice, "there are more warnings: see outrigger check", "more", len(warnings)-i)
			return
		}
		h.logger.Warn(w.String(), "code", w.Code)
	}
}
