// SPDX-License-Identifier: GPL-2.0-only
/*
 * Registers the virtio-mmio devices that the machine names on the kernel's command line. Linux does this itself where
 * CONFIG_VIRTIO_MMIO_CMDLINE_DEVICES is set, and Debian's kernels are built without.
 *
 * The parameter `device` may be given several times: <size>@<base>:<irq>[:<id>], as Linux documents it for
 * `virtio_mmio.device`. init takes it from the command line (odyn/init/modules.c).
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/device.h>
#include <linux/ioport.h>
#include <linux/kernel.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/platform_device.h>
#include <linux/string.h>

/* Nitro names two and QEMU's microvm up to 24; who names more is neither. */
#define DEVICES_MAX 32

/* The standard registers, behind which a device has its own; Nitro gives 4 KiB, QEMU 512 bytes. */
#define BYTES_MIN 0x100
#define BYTES_MAX 0x10000

struct mmio_device {
	u64 base, size;
	unsigned int irq;
	int id;
};

static struct mmio_device devices[DEVICES_MAX] __initdata;
static unsigned int count __initdata;

static int __init add_device(const char *text)
{
	struct mmio_device device = { .id = count ? devices[count - 1].id + 1 : 0 };
	int fields, length = 0;
	char *rest;

	device.size = memparse(text, &rest);
	fields = sscanf(rest, "@%lli:%u%n:%d%n", &device.base, &device.irq, &length, &device.id, &length);
	if (fields < 2 || rest[length] || !device.irq || device.id < 0)
		return -EINVAL;
	if (device.size < BYTES_MIN || device.size > BYTES_MAX || device.base + device.size < device.base)
		return -ERANGE;
	/* What is written to a device must not be somebody's memory. */
	if (region_intersects(device.base, device.size, IORESOURCE_SYSTEM_RAM, IORES_DESC_NONE) != REGION_DISJOINT)
		return -EADDRINUSE;
	if (count == DEVICES_MAX)
		return -ENOSPC;
	devices[count++] = device;
	return 0;
}

/* A device that cannot be is told of and left out: the others may be all that is needed. */
static int __init set_device(const char *text, const struct kernel_param *parameter)
{
	int error = add_device(text);

	if (error)
		pr_err("device=%s is left out: error %d\n", text, error);
	return 0;
}

static const struct kernel_param_ops device_ops = { .set = set_device };

module_param_cb(device, &device_ops, NULL, 0);
MODULE_PARM_DESC(device, "a virtio-mmio device as <size>@<base>:<irq>[:<id>]; may be given several times");

/* No exit: the devices stay as long as the machine. */
static int __init virtio_mmio_devices_init(void)
{
	struct device *parent;
	unsigned int i;

	if (!count)
		return 0;
	parent = root_device_register("virtio-mmio-cmdline");
	if (IS_ERR(parent))
		return PTR_ERR(parent);
	for (i = 0; i < count; i++) {
		const struct mmio_device *device = &devices[i];
		const struct resource resources[] = {
			DEFINE_RES_MEM(device->base, device->size),
			DEFINE_RES_IRQ(device->irq),
		};
		struct platform_device *registered = platform_device_register_resndata(
			parent, "virtio-mmio", device->id, resources, ARRAY_SIZE(resources), NULL, 0);

		if (IS_ERR(registered))
			pr_err("virtio-mmio.%d is left out: error %ld\n", device->id, PTR_ERR(registered));
		else
			pr_info("virtio-mmio.%d: %pR, %pR\n", device->id, &resources[0], &resources[1]);
	}
	return 0;
}
module_init(virtio_mmio_devices_init);

MODULE_DESCRIPTION("virtio-mmio devices of the kernel's command line");
MODULE_LICENSE("GPL");
