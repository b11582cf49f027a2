curl -s -X POST BASE/api/v1/portal/keys -H "Authorization: Bearer $TOKEN" -H "Content-Type: application/json" -d '{"name": "production-key", "scopes": ["search", "upload", "records"]}'
curl -s -X PUT BASE/api/v1/portal/schemas/catalog/product -H "Authorization: Bearer $TOKEN" -H "Content-Type: application/json" -d '{"type": "object", "properties": {"price_eur": {"type": "number", "minimum": 0}}, "required": ["sku"]}'
printf 'name,sku,standard,price_eur\nLinear Bearing LM16UU,LM16UU,,12.50\nHex Bolt M8x40 A2,SS-M8-40-A2,ISO 4017,0.32\n' > catalog.csv
curl -s -X POST BASE/api/v1/portal/upload/catalog/product/upload -H "Authorization: Bearer $TOKEN" -F "file=@catalog.csv"
curl -s -X POST BASE/api/v1/portal/search/catalog -H "Authorization: Bearer $TOKEN" -H "Content-Type: application/json" -d '{"query": "linear bearing", "limit": 10}'
curl -s BASE/api/v1/portal/quickstart -H "Authorization: Bearer $TOKEN"
