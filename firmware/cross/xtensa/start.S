# QEMU's xtensa `sim` machine starts at 0x50000000, whatever the ELF's entry is.
    .section .vector, "ax"
    .global _start
    .align 4
_start:
    j begin

    .section .text.begin, "ax"
    .literal_position
    .align 4
begin:
    movi a1, _stack_top
    movi a0, main
    callx0 a0
1:  j 1b

# simcall(number, a, b, c): QEMU's system calls take the number in a2.
    .global simcall
    .align 4
simcall:
    simcall
    ret
