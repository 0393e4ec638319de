package pdk

import (
	"fmt"
	"reflect"
)

// handler finds the method called name, with or without an error result. It answers nil when there is no such method.
func handler(instance any, name string) (func(*PDK) error, error) {
	var failing func(*PDK) error
	var silent func(*PDK)
	switch name {
	case "Rewrite":
		switch in := instance.(type) {
		case interface{ Rewrite(*PDK) error }:
			failing = in.Rewrite
		case interface{ Rewrite(*PDK) }:
			silent = in.Rewrite
		}
	case "Access":
		switch in := instance.(type) {
		case interface{ Access(*PDK) error }:
			failing = in.Access
		case interface{ Access(*PDK) }:
			silent = in.Access
		}
	case "Response":
		switch in := instance.(type) {
		case interface{ Response(*PDK) error }:
			failing = in.Response
		case interface{ Response(*PDK) }:
			silent = in.Response
		}
	case "HeaderFilter":
		switch in := instance.(type) {
		case interface{ HeaderFilter(*PDK) error }:
			failing = in.HeaderFilter
		case interface{ HeaderFilter(*PDK) }:
			silent = in.HeaderFilter
		}
	case "Log":
		switch in := instance.(type) {
		case interface{ Log(*PDK) error }:
			failing = in.Log
		case interface{ Log(*PDK) }:
			silent = in.Log
		}
	}
	switch {
	case failing != nil:
		return failing, nil
	case silent != nil:
		return func(k *PDK) error {
			silent(k)
			return nil
		}, nil
	}
	return nil, wrongSignature(instance, name, "func(*pdk.PDK) error")
}

// bodyFilter finds the method BodyFilter, with or without an error result.
func bodyFilter(instance any) (func(*PDK, []byte, bool) ([]byte, error), error) {
	switch in := instance.(type) {
	case interface {
		BodyFilter(*PDK, []byte, bool) ([]byte, error)
	}:
		return in.BodyFilter, nil
	case interface {
		BodyFilter(*PDK, []byte, bool) []byte
	}:
		return func(k *PDK, chunk []byte, last bool) ([]byte, error) { return in.BodyFilter(k, chunk, last), nil }, nil
	}
	return nil, wrongSignature(instance, "BodyFilter", "func(*pdk.PDK, []byte, bool) ([]byte, error)")
}

// configure finds the methods Validate and Configure, which run in this order.
func configure(instance any) (func() error, error) {
	run, err := hook(instance, "Configure")
	if err != nil {
		return nil, err
	}
	check, ok := instance.(interface{ Validate() error })
	switch m := reflect.ValueOf(instance).MethodByName("Validate"); {
	case !ok && m.IsValid():
		return nil, fmt.Errorf("%T: method Validate is %s, expected func() error", instance, m.Type())
	case !ok:
		return run, nil
	case run == nil:
		return check.Validate, nil
	}
	return func() error {
		if err := check.Validate(); err != nil {
			return err
		}
		return run()
	}, nil
}

// hook finds the method Configure or Close, with or without an error result.
func hook(instance any, name string) (func() error, error) {
	var silent func()
	switch name {
	case "Configure":
		switch in := instance.(type) {
		case interface{ Configure() error }:
			return in.Configure, nil
		case interface{ Configure() }:
			silent = in.Configure
		}
	case "Close":
		switch in := instance.(type) {
		case interface{ Close() error }:
			return in.Close, nil
		case interface{ Close() }:
			silent = in.Close
		}
	}
	if silent != nil {
		return func() error {
			silent()
			return nil
		}, nil
	}
	return nil, wrongSignature(instance, name, "func() error")
}

// wrongSignature is the error for a method with a handler's name that the type switches did not take; nil when there is no such method.
func wrongSignature(instance any, name, want string) error {
	if instance == nil {
		return fmt.Errorf("finding the handlers: the instance is nil, expected a pointer as New returns it")
	}
	m := reflect.ValueOf(instance).MethodByName(name)
	if !m.IsValid() {
		return nil
	}
	return fmt.Errorf("%T: method %s is %s, expected %s (the error may be left out)", instance, name, m.Type(), want)
}
