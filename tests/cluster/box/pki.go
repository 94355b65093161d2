package box

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"time"
)

// An authority signs all certificates of one box. Its key stays in the box's folder, which is removed with the box.
type authority struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
	dir         string
}

const lifetime = 365 * 24 * time.Hour

func newAuthority(dir string) (*authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	now := time.Now()
	template := &x509.Certificate{
		SerialNumber:          serial(),
		Subject:               pkix.Name{CommonName: "foretell-box"},
		NotBefore:             now.Add(-time.Hour),
		NotAfter:              now.Add(lifetime),
		IsCA:                  true,
		BasicConstraintsValid: true,
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, err
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	created := &authority{certificate: certificate, key: key, dir: dir}
	return created, created.write("ca", der, key)
}

func serial() *big.Int {
	number, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		panic(err) // The system's random number generator failed.
	}
	return number
}

func (authority *authority) file(name string) string { return authority.dir + "/" + name }

func (authority *authority) write(name string, der []byte, key crypto.Signer) error {
	if der != nil {
		text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
		if err := os.WriteFile(authority.file(name+".crt"), text, 0o644); err != nil {
			return err
		}
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	text := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret})
	return os.WriteFile(authority.file(name+".key"), text, 0o600)
}

// issue writes NAME.crt and NAME.key for a client of the API server, and for a server if there are names.
func (authority *authority) issue(name, user, group string, names ...string) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	template := &x509.Certificate{
		SerialNumber: serial(),
		Subject:      pkix.Name{CommonName: user},
		NotBefore:    authority.certificate.NotBefore,
		NotAfter:     authority.certificate.NotAfter,
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	if group != "" {
		template.Subject.Organization = []string{group}
	}
	for _, each := range names {
		if address := net.ParseIP(each); address != nil {
			template.IPAddresses = append(template.IPAddresses, address)
		} else {
			template.DNSNames = append(template.DNSNames, each)
		}
	}
	if len(names) > 0 {
		template.ExtKeyUsage = append(template.ExtKeyUsage, x509.ExtKeyUsageServerAuth)
	}
	der, err := x509.CreateCertificate(rand.Reader, template, authority.certificate, key.Public(), authority.key)
	if err != nil {
		return err
	}
	return authority.write(name, der, key)
}

// issueServiceAccountKey writes the key that signs tokens of service accounts.
func (authority *authority) issueServiceAccountKey() error {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return err
	}
	return authority.write("service-accounts", nil, key)
}

// kubeconfig writes a kubeconfig with the certificate NAME.crt.
func (authority *authority) kubeconfig(path, name, server string) error {
	read := func(file string) []byte {
		text, err := os.ReadFile(authority.file(file))
		if err != nil {
			panic(err) // This process has just written it.
		}
		return text
	}
	text := fmt.Sprintf(`apiVersion: v1
kind: Config
current-context: foretell-box
clusters:
- name: foretell-box
  cluster:
    server: %s
    certificate-authority-data: %s
users:
- name: %[3]s
  user:
    client-certificate-data: %s
    client-key-data: %s
contexts:
- name: foretell-box
  context:
    cluster: foretell-box
    user: %[3]s
`, server, encode(read("ca.crt")), name, encode(read(name+".crt")), encode(read(name+".key")))
	return os.WriteFile(path, []byte(text), 0o600)
}

func encode(text []byte) string { return base64.StdEncoding.EncodeToString(text) }

// issueAll creates the certificates of all components.
func issueAll(box *Box) error {
	authority, err := newAuthority(box.path("pki"))
	if err != nil {
		return err
	}
	if err := authority.issueServiceAccountKey(); err != nil {
		return err
	}
	if err := authority.issue("api-server", "kube-apiserver", "", "127.0.0.1", "localhost", box.APIAddress, firstService4, firstService6,
		"kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local"); err != nil {
		return err
	}
	inside := fmt.Sprintf("https://%s:%d", box.APIAddress, box.APIPort)
	type user struct{ name, user, group string }
	users := []user{
		{"admin", "kubernetes-admin", "system:masters"},
		{"api-server-kubelet-client", "kube-apiserver-kubelet-client", "system:masters"},
		{"controller-manager", "system:kube-controller-manager", ""},
		{"scheduler", "system:kube-scheduler", ""},
		{"proxy", "system:kube-proxy", ""},
	}
	for _, each := range users {
		if err := authority.issue(each.name, each.user, each.group); err != nil {
			return err
		}
		if err := authority.kubeconfig(box.path("pki", each.name+".kubeconfig"), each.name, inside); err != nil {
			return err
		}
	}
	for number := 1; number <= box.Nodes; number++ {
		name := nodeName(number)
		if err := authority.issue(name, "system:node:"+name, "system:nodes", append(box.nodeAddresses(number), name)...); err != nil {
			return err
		}
		if err := authority.kubeconfig(box.path("pki", name+".kubeconfig"), name, inside); err != nil {
			return err
		}
	}
	return authority.kubeconfig(box.path("kubeconfig"), "admin", box.HostServer)
}
