/* api_areas.h - the tables of routes that there are, each in a file of its own (api.h). */
#ifndef SUPERVISOR_API_AREAS_H
#define SUPERVISOR_API_AREAS_H

struct api_area;

extern const struct api_area api_instances, api_guests, api_images, api_networks, api_volumes,
	api_tenants, api_billing, api_scheduling, api_ledger, api_host;
extern const struct api_area api_activity, api_devices, api_functions;
extern const struct api_area api_engines, api_pools;
extern const struct api_area api_snapshots, api_changes;
extern const struct api_area api_budgets;

extern const struct api_area api_placement;

#endif
