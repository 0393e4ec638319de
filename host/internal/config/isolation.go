package config

import "math"

// Limits are what one process of a plugin server may use, with all that it starts where the machine can say so; 0: as much as the host.
type Limits struct {
	MemoryLimit  uint64  // bytes
	OpenFiles    uint64  // descriptors
	ProcessLimit uint64  // processes and threads
	FileSize     uint64  // bytes of the largest file that it can write
	CPU          float64 // processors
}

// Isolation says how a managed plugin server is kept apart from the machine. Empty words are the defaults of package pluginserver.
type Isolation struct {
	Cgroup          string    // auto, off, required
	Seccomp         string    // default, off, required
	Landlock        *Landlock // nil: every path
	NoNewPrivileges string    // on, off
}

// Landlock restricts the paths that a plugin server may use.
type Landlock struct {
	Read  []string // may be read; nil: everything
	Write []string // may be changed too
	Mode  string   // auto, required
}

// isolationFields are the rows of the table of a plugin server that are about what it may do and use.
func isolationFields() []serverField {
	return []serverField{
		field("limits", "mapping: memory, file_size (sizes), open_files, processes (numbers), cpu (processors)", "",
			"limits of each process; what the machine cannot limit is told at the start and by `outrigger check`", readLimits),
		field("isolation", "mapping: cgroup (auto, off, required), seccomp (default, off, required), landlock (mapping: read, write (lists of paths), mode (auto, required)), no_new_privileges (on, off)", "",
			"how each process is kept apart from the machine; `required` refuses to start it where that is not available", readIsolation),
	}
}

// leastMemory is less than any language's server needs: what is below is a mistake in the unit.
const leastMemory = 1 << 20

func readLimits(r *settingReader, s *PluginServer, v *node, at *path) {
	o := r.object(v, at, "limits")
	if o == nil {
		return
	}
	if n := o.has("memory"); n != nil {
		if bytes, ok := r.size(n, at.key("memory"), leastMemory, math.MaxInt64); ok {
			s.MemoryLimit = uint64(bytes)
		}
	}
	if n := o.has("file_size"); n != nil {
		if bytes, ok := r.size(n, at.key("file_size"), 1, math.MaxInt64); ok {
			s.FileSize = uint64(bytes)
		}
	}
	if n := o.has("open_files"); n != nil {
		if files, ok := r.number(n, at.key("open_files"), 16, 1<<30); ok {
			s.OpenFiles = uint64(files)
		}
	}
	if n := o.has("processes"); n != nil {
		if tasks, ok := r.number(n, at.key("processes"), 1, 1<<22); ok {
			s.ProcessLimit = uint64(tasks)
		}
	}
	if n := o.has("cpu"); n != nil {
		if cpu, ok := parsePlainFloat(n, n.text); ok && cpu >= 0.01 && cpu <= 1024 {
			s.CPU = cpu
		} else {
			r.fail(at.key("cpu"), n, Error{Code: CodeWrongValue, Found: n.describe(), Expected: "a number of processors from 0.01 to 1024, such as 0.5"})
		}
	}
	o.done()
}

func readIsolation(r *settingReader, s *PluginServer, v *node, at *path) {
	o := r.object(v, at, "isolation")
	if o == nil {
		return
	}
	i := &s.Isolation
	i.Cgroup = o.choice("cgroup", "auto", "auto", "off", "required")
	i.Seccomp = o.choice("seccomp", "default", "default", "off", "required")
	i.NoNewPrivileges = o.choice("no_new_privileges", "on", "on", "off")
	if n := o.has("landlock"); n != nil && n.kind != kindNull {
		i.Landlock = r.landlock(n, at.key("landlock"))
	}
	o.done()
	if i.NoNewPrivileges == "on" {
		return
	}
	// The kernel takes a filter or a ruleset from a process without privileges only when its programs cannot gain any.
	for _, key := range []string{"seccomp", "landlock"} {
		if n := v.get(key); n != nil && n.kind != kindNull && n.text != "off" {
			r.fail(at.key(key), n, Error{
				Code: CodeConflict, Found: quote(key) + " with no_new_privileges: off", Expected: "no_new_privileges: on",
				Fix: "remove one of them",
			})
		}
	}
}

func (r *settingReader) landlock(v *node, at *path) *Landlock {
	o := r.object(v, at, "landlock")
	if o == nil {
		return nil
	}
	l := &Landlock{Read: r.paths(o, "read"), Write: r.paths(o, "write"), Mode: o.choice("mode", "auto", "auto", "required")}
	if o.has("read") != nil && l.Read == nil { // an empty list: nothing but the system
		l.Read = []string{}
	}
	if o.has("read") == nil && o.has("write") == nil {
		o.missing("write", "read or write: a list of paths, which may be empty")
	}
	o.done()
	return l
}

// paths reads a list of paths; relative ones start from the directory of the settings file.
func (r *settingReader) paths(o *object, key string) []string {
	list := o.texts(key, true)
	for n, path := range list {
		list[n] = r.path(path)
	}
	return list
}
