#include <ruby.h>

static VALUE compute(VALUE self, VALUE one, VALUE other)
{
    return LONG2NUM(NUM2LONG(one) * NUM2LONG(other));
}

void Init_answer(void)
{
    rb_define_module_function(rb_define_module("Answer"), "compute", compute, 2);
}
