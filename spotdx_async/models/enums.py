"""The values that the contract lists. Any other value is kept as the plain text that came.

The vendor's guides name a few more statuses (``pending``, ``rejected``, …): those stay text, and compare like members.
"""

from enum import StrEnum


class KitStatus(StrEnum):
    """Where a kit is on its way to the customer."""

    PREPARING = "preparing"
    IN_TRANSIT = "in_transit"
    DELIVERED = "delivered"
    DELIVERY_EXCEPTION = "delivery_exception"
    REGISTERED = "registered"
    CANCELED = "canceled"


class SampleStatus(StrEnum):
    """Where a sample is on its way to the laboratory, and through it."""

    AWAITING_COLLECTION = "awaiting_collection"
    COLLECTION_EXCEPTION = "collection_exception"
    DELIVERY_EXCEPTION = "delivery_exception"
    DELIVERED = "delivered"
    IN_TRANSIT = "in_transit"
    RECEIVED = "received"
    RESULTED = "resulted"
    PARTIALLY_RESULTED = "partially_resulted"
    EXTRA_QUALITY_CHECKS = "extra_quality_checks"
    CANCELED = "canceled"


class OrderStatus(StrEnum):
    """The status of an order."""

    PENDING = "pending"
    IN_PROGRESS = "in_progress"
    COMPLETED = "completed"
    CANCELED = "canceled"


class RequisitionStatus(StrEnum):
    """The status of a requisition: approved or denied at once, then its sample's way through the laboratory."""

    CREATED = "created"
    APPROVED = "approved"
    DENIED = "denied"
    DELIVERED = "delivered"
    RECEIVED = "received"
    EXTRA_QUALITY_CHECKS = "extra_quality_checks"
    RESULTED = "resulted"
    REJECTED = "rejected"
    DELIVERY_EXCEPTION = "delivery_exception"


class SampleType(StrEnum):
    """What the sample is collected on or in."""

    ADX100 = "adx100"
    ADX100_2 = "adx100_2"
    ADX100_4 = "adx100_4"
    WHATMAN903_10 = "whatman903_10"
    DRY_TRANSPORT_SWAB = "dry_transport_swab"
    HEMASPOT_HF = "hemaspot_hf"
    SALIVA_3 = "saliva_3"


class Carrier(StrEnum):
    """The carrier of a parcel."""

    FEDEX = "fedex"
    UPS = "ups"
    USPS = "usps"


class Sex(StrEnum):
    """A patient's sex, as the vendor abbreviates it."""

    M = "M"
    F = "F"


class Country(StrEnum):
    """The countries that the vendor ships to."""

    US = "US"
    CA = "CA"
