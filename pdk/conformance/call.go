package conformance

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"

	"github.com/outrigger-gateway/outrigger/pdk"
	"github.com/outrigger-gateway/outrigger/proto/vectors"
)

// Method finds the method of a function, such as service.request.set_header, on a PDK.
func Method(k *pdk.PDK, function string) (reflect.Value, error) {
	dot := strings.LastIndexByte(function, '.')
	holder := reflect.ValueOf(k).Elem().FieldByNameFunc(func(name string) bool { return strings.EqualFold(name, plain(function[:max(dot, 0)])) })
	if holder.IsValid() {
		if method, found := methodNamed(holder, function[dot+1:]); found {
			return method, nil
		}
	}
	return reflect.Value{}, fmt.Errorf("the Go PDK has no function %q", function)
}

// plain is a name without what languages write differently.
func plain(name string) string { return strings.NewReplacer(".", "", "_", "").Replace(name) }

// Caller makes the calls of one handler.
type Caller struct {
	k *pdk.PDK

	mu    sync.Mutex
	spans []*pdk.Span // that the handler started, in order
}

// NewCaller makes a Caller for the handle of a handler. It may be used after the handler too.
func NewCaller(k *pdk.PDK) *Caller { return &Caller{k: k} }

// Run makes the calls of the handler: one after the other, or all at once.
func (c *Caller) Run(p *Program) []vectors.Result {
	if !p.Together {
		return c.All(p.Calls)
	}
	results := make([]vectors.Result, len(p.Calls))
	var wg sync.WaitGroup
	for i := range p.Calls {
		wg.Go(func() { results[i] = c.one(&p.Calls[i]) })
	}
	wg.Wait()
	return results
}

// All makes calls one after the other.
func (c *Caller) All(calls []vectors.Call) []vectors.Result {
	results := []vectors.Result{}
	for i := range calls {
		results = append(results, c.one(&calls[i]))
	}
	return results
}

// one makes one call and says what came of it.
func (c *Caller) one(call *vectors.Call) (r vectors.Result) {
	defer func() {
		if v := recover(); v != nil {
			r = vectors.Result{Fault: fmt.Sprintf("panic: %v", v)}
		}
	}()
	fault := func(err error) vectors.Result { return vectors.Result{Fault: err.Error()} }
	method, given, err := c.method(call)
	if err != nil {
		return fault(err)
	}
	args, err := Arguments(method.Type(), given)
	if err != nil {
		return fault(err)
	}
	results := method.Call(args)
	c.keep(results)
	n := method.Type().NumOut()
	if n > 0 && method.Type().Out(n-1) == reflect.TypeFor[error]() {
		err, _ := results[n-1].Interface().(error)
		results = results[:n-1]
		var refusal *pdk.Error
		switch {
		case errors.As(err, &refusal):
			return vectors.Result{Error: refusal.Code, Function: refusal.Function}
		case err != nil:
			return fault(err)
		}
	} else {
		r.Mute = true
	}
	if r.Value, err = json.Marshal(spell(results)); err != nil {
		return fault(err)
	}
	return r
}

// method finds what to call, and its arguments.
func (c *Caller) method(call *vectors.Call) (reflect.Value, []any, error) {
	name, ok := strings.CutPrefix(call.Fn, "span.")
	if !ok {
		method, err := Method(c.k, call.Fn)
		return method, call.Args, err
	}
	if len(call.Args) == 0 {
		return reflect.Value{}, nil, fmt.Errorf("%s: the number of the span is missing", call.Fn)
	}
	number, err := vectors.Value(call.Args[0])
	at, isInt := number.(int64)
	c.mu.Lock()
	defer c.mu.Unlock()
	if err != nil || !isInt || at < 1 || int(at) > len(c.spans) {
		return reflect.Value{}, nil, fmt.Errorf("%s: the handler has started no span %v", call.Fn, number)
	}
	method, found := methodNamed(reflect.ValueOf(c.spans[at-1]), name)
	if !found {
		return method, nil, fmt.Errorf("spans of Go have no method %q", name)
	}
	return method, call.Args[1:], nil
}

// keep remembers a span that was started: one that the handler has not yet.
func (c *Caller) keep(results []reflect.Value) {
	if len(results) == 0 {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if span, ok := results[0].Interface().(*pdk.Span); ok && span != nil && !slices.Contains(c.spans, span) {
		c.spans = append(c.spans, span)
	}
}

func methodNamed(holder reflect.Value, name string) (reflect.Value, bool) {
	for i := range holder.NumMethod() {
		if strings.EqualFold(holder.Type().Method(i).Name, plain(name)) {
			return holder.Method(i), true
		}
	}
	return reflect.Value{}, false
}

// Arguments gives a method its arguments in Go's types; optional ones that are left out have the values that say so.
func Arguments(method reflect.Type, given []any) ([]reflect.Value, error) {
	fixed := method.NumIn()
	if method.IsVariadic() {
		fixed--
	}
	var args []reflect.Value
	for i := range fixed {
		if kind := method.In(i).Kind(); i >= len(given) || given[i] == nil && (kind == reflect.String || kind == reflect.Int || kind == reflect.Float64 || kind == reflect.Bool) {
			args = append(args, omitted(method.In(i)))
			continue
		}
		arg, err := argument(method.In(i), given[i])
		if err != nil {
			return nil, fmt.Errorf("argument %d: %w", i+1, err)
		}
		args = append(args, arg)
	}
	if !method.IsVariadic() {
		if len(given) > fixed {
			return nil, fmt.Errorf("%d arguments; the method takes %d", len(given), fixed)
		}
		return args, nil
	}
	item := method.In(fixed).Elem()
	for i, spelt := range Rest(given, fixed, item) {
		arg, err := argument(item, spelt)
		if err != nil {
			return nil, fmt.Errorf("argument %d: %w", fixed+i+1, err)
		}
		args = append(args, arg)
	}
	return args, nil
}

// Rest are the variadic arguments: a list that stands for several texts is several arguments in Go.
func Rest(given []any, fixed int, item reflect.Type) []any {
	rest := given[min(fixed, len(given)):]
	if item.Kind() == reflect.String && len(rest) == 1 {
		if list, isList := rest[0].([]any); isList {
			return list
		}
	}
	return rest
}

// omitted is what an optional parameter gets when it is left out, or null where Go has none: -1 for an integer, else the zero value.
func omitted(want reflect.Type) reflect.Value {
	v := reflect.New(want).Elem()
	if want.Kind() == reflect.Int {
		v.SetInt(-1)
	}
	return v
}

// argument makes a value of a type from its spelling.
func argument(want reflect.Type, spelt any) (reflect.Value, error) {
	value, err := vectors.Value(spelt)
	if err != nil {
		return reflect.Value{}, err
	}
	v := reflect.New(want).Elem()
	return v, assign(v, value)
}

// assign sets v to a value, converting as an author who writes the value down in Go would.
func assign(v reflect.Value, value any) error {
	wrong := fmt.Errorf("%#v is no %v", value, v.Type())
	fields, isMap := value.(map[string]any)
	list, isList := value.([]any)
	switch p := v.Addr().Interface().(type) {
	case **pdk.Credential:
		if isMap {
			*p = pdk.CredentialOf(fields)
			return nil
		}
	case *pdk.QueryValue:
		text, isText := value.(string)
		*p = pdk.QueryValue{Text: text, Bare: value == true}
		if isText || p.Bare {
			return nil
		}
		return wrong
	case *[]byte:
		b, ok := value.([]byte)
		if *p = b; ok || value == nil {
			return nil
		}
		return wrong
	}
	switch kind := v.Kind(); {
	case value == nil && (kind == reflect.Pointer || kind == reflect.Map || kind == reflect.Slice || kind == reflect.Interface):
		return nil
	case kind == reflect.Interface:
		v.Set(reflect.ValueOf(value))
	case kind == reflect.Float64 && reflect.TypeOf(value) == reflect.TypeFor[int64]():
		v.SetFloat(float64(value.(int64)))
	case kind == reflect.Int && reflect.TypeOf(value) == reflect.TypeFor[int64]():
		v.SetInt(value.(int64))
	case kind == reflect.Pointer && isMap: // an entity
		return entity(v, fields)
	case kind == reflect.Slice && isList:
		v.Set(reflect.MakeSlice(v.Type(), len(list), len(list)))
		for i := range list {
			if err := assign(v.Index(i), list[i]); err != nil {
				return err
			}
		}
	case kind == reflect.Map && isMap:
		v.Set(reflect.MakeMap(v.Type()))
		for key := range fields {
			item := reflect.New(v.Type().Elem()).Elem()
			if err := assign(item, fields[key]); err != nil {
				return err
			}
			v.SetMapIndex(reflect.ValueOf(key), item)
		}
	case value != nil && reflect.TypeOf(value) == v.Type():
		v.Set(reflect.ValueOf(value))
	default:
		return wrong
	}
	return nil
}

// entity fills a struct from its document.
func entity(v reflect.Value, fields map[string]any) error {
	doc, err := json.Marshal(fields)
	if err == nil {
		v.Set(reflect.New(v.Type().Elem()))
		err = json.Unmarshal(doc, v.Interface())
	}
	return err
}
