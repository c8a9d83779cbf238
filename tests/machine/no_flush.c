/* Preloaded into a gateway that must fail the test of power cuts: it believes in what it wrote. */
int fsync(int fd)
{
    (void)fd;
    return 0;
}

int fdatasync(int fd)
{
    (void)fd;
    return 0;
}
