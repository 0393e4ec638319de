package host

import (
	"context"
	"errors"

	"github.com/outrigger-gateway/outrigger/host/internal/config"
	"github.com/outrigger-gateway/outrigger/host/internal/generation"
	"github.com/outrigger-gateway/outrigger/host/internal/lint"
)

// Lint looks for what a valid configuration most likely does not mean. Like Check it starts the plugin servers and asks them. Offline it asks
// nobody: nothing is found then that rests on what a plugin says about itself, unless it is built in.
func (h *Host) Lint(ctx context.Context, offline bool) (report *lint.Report, err error) {
	defer func() { err = errors.Join(err, h.Shutdown(context.Background())) }()
	set, places := config.Empty(), (*config.Places)(nil)
	if file := h.settings.DeclarativeConfig; file != "" {
		if set, places, err = config.LoadPlaces(file, h.opts.Env); err != nil {
			return nil, err
		}
		if err = refuseBlank(set, file); err != nil {
			return nil, err
		}
	}
	servers, err := h.examined(ctx, offline)
	if err != nil {
		return nil, err
	}
	catalog, err := h.builder.With(servers).Catalog(set)
	if err != nil {
		return nil, err
	}
	gen, err := h.compile(ctx, set, servers)
	if err != nil {
		return nil, err
	}
	defer gen.Discard()
	return lint.NewReport(lint.Lint(lint.Input{
		Written: set, Places: places, Set: gen.Set, Catalog: catalog, Unknown: generation.Unknown(catalog), Vault: h.vault,
		Router: gen.Router, Plans: gen.Plans,
	})), nil
}
