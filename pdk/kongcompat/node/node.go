// Package node is kong.Node of go-pdk.
package node

import (
	"os"

	"github.com/outrigger-gateway/outrigger/pdk"
	"github.com/outrigger-gateway/outrigger/pdk/kongcompat/internal/call"
)

// Node is the gateway node.
type Node struct{ call *call.Call }

// New is for package kongcompat.
func New(c *call.Call) Node { return Node{c} }

type workerLuaVmStats struct {
	HttpAllocatedGc int64 `json:"http_allocated_gc"`
	Pid             int64 `json:"pid"`
}

// MemoryStats has the shape of go-pdk. Outrigger has no Lua: the shared dictionaries are 0, and the one worker is the gateway, with the bytes on its
// heap. The Pid is that of the plugin server.
type MemoryStats struct {
	LuaSharedDicts struct {
		Kong struct {
			AllocatedSlabs int64 `json:"allocated_slabs"`
			Capacity       int64 `json:"capacity"`
		} `json:"kong"`
		KongDbCache struct {
			AllocatedSlabs int64 `json:"allocated_slabs"`
			Capacity       int64 `json:"capacity"`
		} `json:"kong_db_cache"`
	} `json:"lua_shared_dicts"`
	WorkersLuaVms []workerLuaVmStats `json:"workers_lua_vms"`
}

// GetId returns the id of the node.
func (n Node) GetId() (string, error) {
	return call.Read(n.call, pdk.FnNodeGetID, n.call.PDK.Node.GetID)
}

// GetMemoryStats returns how much memory the gateway uses.
func (n Node) GetMemoryStats() (MemoryStats, error) {
	stats, err := n.call.PDK.Node.GetMemoryStats("b", 0)
	if err != nil {
		return MemoryStats{}, err
	}
	process, _ := stats["process"].(map[string]any)
	heap, _ := call.Plain(process["heap"]).(float64)
	return MemoryStats{WorkersLuaVms: []workerLuaVmStats{{HttpAllocatedGc: int64(heap), Pid: int64(os.Getpid())}}}, nil
}
