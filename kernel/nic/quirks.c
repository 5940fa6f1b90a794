/* SPDX-License-Identifier: MIT */
#include <stddef.h>
#include <string.h>

#include "nic/quirks.h"

static const struct zrx_nic_quirk quirks[] = {
	{
		.driver = "gve",
		.first_queue = 1,
		.first_kernel = ZRX_KERNEL(6, 18),
		.source = "tried on Linux 6.18 to 7.3: binding queue 0 gives ERANGE; on 6.16 and "
			  "6.17 binding gives ENODATA",
	},
	{
		.driver = "mlx5_core",
		.needs_hw_gro = 1,
		.needs = "CQE compression off: ethtool --set-priv-flags NAME rx_cqe_compress off",
		.source = "patches to mlx5/core: en_ethtool.c (mlx5e_ethtool_set_tcp_data_split) "
			  "refuses split without HW-GRO, en_main.c (mlx5e_fix_features) HW-GRO "
			  "with CQE compression; not tried here",
	},
};

const struct zrx_nic_quirk *zrx_nic_quirk_find(const char *driver)
{
	for (size_t i = 0; i < sizeof(quirks) / sizeof(quirks[0]); i++)
		if (!strcmp(quirks[i].driver, driver))
			return &quirks[i];
	return NULL;
}
